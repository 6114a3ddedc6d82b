"""How machines become nodes: join tokens, enrolment, renewal."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from typing import Final

from controld.core.audit import Audit
from controld.core.authority import Authority
from controld.core.faults import JoinTokenRefused, NodeNotFound, NodeRefused
from controld.core.ports import Database, JoinTokenStore, NodeStore, Transaction
from controld.model.caller import Caller, CallerKind, TokenKind
from controld.model.node import IssuedJoinToken, JoinToken, Node, NodeState
from controld.rules.access import check
from kit.clock import Clock
from kit.faults import Invalid
from kit.ids import Ids
from kit.tls import Certificate
from wire.control import enrolment as messages
from wire.control.enrolment import Enrolled, EnrolmentAsked, RenewalAsked, Renewed

_log = logging.getLogger(__name__)

_MOST_NAME: Final = 200
_HOST: Final = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.:-]{0,251}[0-9A-Za-z])?|[0-9A-Fa-f:]+")


class Enrolment:
    """Hands out join tokens, and certificates to those who bring one.

    `url` is where nodes find the node side; a token names it together with the authority's fingerprint.
    """

    def __init__(
        self,
        authority: Authority,
        *,
        database: Database,
        nodes: NodeStore,
        tokens: JoinTokenStore,
        audit: Audit,
        clock: Clock,
        ids: Ids,
        url: str,
        token_seconds: float,
    ) -> None:
        self._authority = authority
        self._database = database
        self._nodes = nodes
        self._tokens = tokens
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._url = url
        self._token_seconds = token_seconds

    async def create_token(self, caller: Caller, *, node_id: str | None = None) -> IssuedJoinToken:
        """A single-use token, shown this once: for a new node, or for this one to enrol again under its id."""
        check(caller, "nodes.change")
        secret, now = self._ids.new_secret(), self._clock.now()
        token = JoinToken(
            id=self._ids.new_id(),
            secret_sha256=_hash(secret),
            created_by=caller.user_id,
            created_at=now,
            expires_at=now + dt.timedelta(seconds=self._token_seconds),
            node_id=node_id,
        )
        async with self._database.write() as tx:
            if node_id is not None:
                node = await self._nodes.get(tx, node_id)
                if node is None or node.state is NodeState.REMOVED:
                    raise NodeNotFound(f"cannot make join token: there is no node {node_id}")
            await self._tokens.add(tx, token)
            await self._audit.record(
                tx,
                caller,
                action="node.invite",
                object_kind="join_token",
                object_id=token.id,
                details={"node_id": node_id},
            )
        word = messages.encode_join_token(
            messages.JoinToken(url=self._url, fingerprint=self._authority.fingerprint, secret=secret)
        )
        return IssuedJoinToken(token=word, expires_at=token.expires_at)

    async def enrol(self, asked: EnrolmentAsked, *, peer: str) -> Enrolled:
        """Make the machine a node; raises JoinTokenRefused, and for a bad request Invalid, which leaves the token good.

        `peer` is the address that the ask came from.
        """
        address = asked.address or peer
        if not _HOST.fullmatch(address) or not 0 < asked.port <= 65535:
            raise Invalid(f"cannot enrol: {address!r} port {asked.port} is not an address that can be dialled")
        async with self._database.write() as tx:
            token = await self._tokens.use(tx, _hash(asked.secret), now=self._clock.now())
            if token is None:
                raise JoinTokenRefused("cannot enrol: the join token is unknown, was used before, or has expired")
            node_id = token.node_id or self._ids.new_id()
            certificate_pem, facts = await self._authority.sign_node(asked.csr_pem, node_id=node_id)
            if token.node_id is None:
                name = await self._add(tx, node_id, asked, address=address, facts=facts)
                await self._tokens.set_node(tx, token.id, node_id=node_id)
            else:
                name = await self._enrol_again(tx, node_id, asked, address=address, facts=facts)
            await self._audit.record(
                tx,
                _caller_of(node_id, facts, address=peer),
                action="node.enrol",
                object_kind="node",
                object_id=node_id,
                details={"name": name, "join_token": token.id, "again": token.node_id is not None},
            )
        _log.info("node enrolled", extra={"node_id": node_id, "node": name, "peer": peer})
        return Enrolled(
            node_id=node_id,
            name=name,
            certificate_pem=certificate_pem,
            authority_pem=self._authority.certificate_pem,
        )

    async def renew(self, caller: Caller, asked: RenewalAsked) -> Renewed:
        """A fresh certificate for the node that calls.

        The certificate it calls with stays good until the fresh one is first used, for the answer may be lost.
        """
        assert caller.node_id is not None
        certificate_pem, facts = await self._authority.sign_node(asked.csr_pem, node_id=caller.node_id)
        async with self._database.write() as tx:
            changed = await self._nodes.replace_certificate(
                tx,
                caller.node_id,
                serial=facts.serial,
                previous_serial=caller.token_id,
                expires_at=facts.not_after_at,
            )
            if changed:
                await self._audit.record(
                    tx,
                    caller,
                    action="node.renew",
                    object_kind="node",
                    object_id=caller.node_id,
                    details={"serial": facts.serial},
                )
        if not changed:
            raise NodeRefused(f"cannot renew certificate: node {caller.node_id} was removed")
        _log.info("node certificate renewed", extra={"node_id": caller.node_id, "serial": facts.serial})
        return Renewed(certificate_pem=certificate_pem, authority_pem=self._authority.certificate_pem)

    async def _add(
        self, tx: Transaction, node_id: str, asked: EnrolmentAsked, *, address: str, facts: Certificate
    ) -> str:
        await tx.lock("node names")
        name = await self._free_name(tx, asked.name)
        await self._nodes.add(
            tx,
            Node(
                id=node_id,
                name=name,
                state=NodeState.JOINING,
                labels={},
                address=address,
                port=asked.port,
                certificate_serial=facts.serial,
                previous_serial=None,
                certificate_expires_at=facts.not_after_at,
                agent_version=None,
                wire_version=None,
                created_at=self._clock.now(),
                heard_at=None,
                removed_at=None,
            ),
        )
        return name

    async def _enrol_again(
        self, tx: Transaction, node_id: str, asked: EnrolmentAsked, *, address: str, facts: Certificate
    ) -> str:
        changed = await self._nodes.replace_certificate(
            tx, node_id, serial=facts.serial, previous_serial=None, expires_at=facts.not_after_at
        )
        node = await self._nodes.get(tx, node_id)
        if not changed or node is None:
            raise JoinTokenRefused("cannot enrol: the node that the join token is for was removed")
        await self._nodes.set_address(tx, node_id, address=address, port=asked.port)
        return node.name

    async def _free_name(self, tx: Transaction, wanted: str) -> str:
        base = "".join(each for each in wanted if each.isprintable()).strip()[:_MOST_NAME] or "node"
        name, number = base, 1
        while await self._nodes.is_name_taken(tx, name):
            number += 1
            name = f"{base}-{number}"
        return name


def _caller_of(node_id: str, facts: Certificate, *, address: str) -> Caller:
    return Caller(
        kind=CallerKind.NODE,
        token_kind=TokenKind.CERTIFICATE,
        token_id=facts.serial,
        node_id=node_id,
        address=address,
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
