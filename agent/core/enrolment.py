"""How this machine becomes a node, and how it keeps its certificate fresh."""

from __future__ import annotations

import logging

from agent.core.faults import CertificateExpired, ControlUntrusted, NotEnrolled
from agent.core.ports import ControlCalls, IdentityFiles
from agent.model.identity import Identity
from kit.clock import Clock
from kit.faults import Invalid
from wire.control.enrolment import EnrolmentAsked, RenewalAsked, decode_join_token

_log = logging.getLogger(__name__)


class BadJoinToken(Invalid):
    """What was given is not a join token."""

    code = "bad_join_token"


class Enrolment:
    """The node's membership: enrols with a join token, tells whether the certificate serves, renews it in time."""

    def __init__(self, files: IdentityFiles, control: ControlCalls, *, clock: Clock) -> None:
        self._files = files
        self._control = control
        self._clock = clock

    async def enrol(self, word: str, *, name: str, port: int, address: str | None = None) -> Identity:
        """Become a node by the join token and keep the identity.

        The authority is compared with the token's fingerprint before the secret or anything else is sent. A machine
        that is a node already takes the new identity in place of the old one; which node it is then, the token says.
        """
        try:
            token = decode_join_token(word)
        except ValueError as error:
            raise BadJoinToken(f"cannot enrol: {error}") from error
        authority_pem = await self._control.fetch_authority(token.url)
        fingerprint = self._files.compute_fingerprint(authority_pem)
        if fingerprint != token.fingerprint:
            raise ControlUntrusted(
                f"cannot enrol at {token.url}: its authority has the fingerprint {fingerprint}, the join token names "
                f"{token.fingerprint}; nothing was sent"
            )
        key_pem, csr_pem = await self._files.make_request(common_name=name)
        asked = EnrolmentAsked(secret=token.secret, csr_pem=csr_pem, name=name, port=port, address=address)
        enrolled = await self._control.send_enrolment(token.url, authority_pem=authority_pem, asked=asked)
        identity = await self._files.write(
            node_id=enrolled.node_id,
            name=enrolled.name,
            control_url=token.url,
            authority_pem=authority_pem,
            certificate_pem=enrolled.certificate_pem,
            key_pem=key_pem,
        )
        _log.info("enrolled", extra={"node_id": identity.node_id, "node": identity.name, "control": token.url})
        return identity

    async def load(self) -> Identity:
        """Who this node is, expired or not; raises NotEnrolled."""
        identity = await self._files.read()
        if identity is None:
            raise NotEnrolled("cannot start: this machine is not a node yet; enrol it with a join token")
        return identity

    async def check(self) -> Identity:
        """Who this node is, with a certificate that is good now; raises NotEnrolled or CertificateExpired."""
        identity = await self.load()
        if self._clock.now() >= identity.not_after_at:
            raise expired(identity)
        return identity

    async def renew_if_due(self) -> Identity | None:
        """A fresh certificate for a fresh key once two thirds of the old one's life have passed; None before that.

        When the answer is lost the old certificate goes on serving, and the next call asks again.
        """
        identity = await self.check()
        if self._clock.now() < identity.renew_at:
            return None
        key_pem, csr_pem = await self._files.make_request(common_name=identity.name)
        renewed = await self._control.send_renewal(identity.control_url, RenewalAsked(csr_pem=csr_pem))
        fresh = await self._files.write(
            node_id=identity.node_id,
            name=identity.name,
            control_url=identity.control_url,
            authority_pem=identity.authority_pem,
            certificate_pem=renewed.certificate_pem,
            key_pem=key_pem,
        )
        _log.info("certificate renewed", extra={"serial": fresh.serial, "not_after_at": fresh.not_after_at.isoformat()})
        return fresh


def expired(identity: Identity) -> CertificateExpired:
    """The fault that says what to do about a certificate that ran out while the agent was off."""
    return CertificateExpired(
        f"cannot reach controld as node {identity.name}: its certificate ran out at "
        f"{identity.not_after_at.isoformat()}. What runs here goes on running. Make a join token for node "
        f"{identity.node_id} and enrol this machine again with it",
        details={"node_id": identity.node_id, "not_after_at": identity.not_after_at.isoformat()},
    )
