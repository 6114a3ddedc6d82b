"""Renews the node's certificate in time."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from agent.core.enrolment import Enrolment
from agent.model.identity import Identity
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_PACE_SECONDS: Final = 3600.0


class IdentityBearer(Protocol):
    """Shows the node's certificate to others besides controld."""

    async def prepare(self, identity: Identity) -> None:
        """Show this one from now on."""
        ...


class Renewal:
    """Looks every hour whether the certificate is due; where controld is out of reach, the next hour asks again."""

    def __init__(self, enrolment: Enrolment, bearer: IdentityBearer, clock: Clock) -> None:
        self._enrolment = enrolment
        self._bearer = bearer
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                renewed = await self._enrolment.renew_if_due()
                if renewed is not None:
                    await self._bearer.prepare(renewed)
            except Fault as fault:
                _log.warning("certificate not renewed", extra={"code": fault.code, "fault": fault.message})
            await self._clock.sleep(_PACE_SECONDS)
