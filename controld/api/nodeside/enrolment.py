"""Enrolment and renewal on the node side."""

from __future__ import annotations

from controld.core.authority import Authority
from controld.core.enrolment import Enrolment
from kit.http.surface import Answer, Ask


class EnrolmentHandlers:
    """Answers who asks for the authority, brings a join token, or wants a fresh certificate."""

    def __init__(self, authority: Authority, enrolment: Enrolment) -> None:
        self._authority = authority
        self._enrolment = enrolment

    async def show_authority(self, ask: Ask) -> object:
        """The authority's certificate, to anyone."""
        del ask
        return Answer(200, self._authority.certificate_pem.encode(), headers={"Content-Type": "application/x-pem-file"})

    async def enrol(self, ask: Ask) -> object:
        """A certificate for a machine with a join token."""
        return await self._enrolment.enrol(ask.body, peer=ask.request.remote or "")

    async def renew(self, ask: Ask) -> object:
        """A fresh certificate for the node that calls."""
        return await self._enrolment.renew(ask.caller, ask.body)
