"""The certificate authority for nodes: made at first start, signs for nodes, and keeps controld's own certificate."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from controld.core.faults import AuthorityUnusable
from controld.core.ports import AuthorityFiles, Database, FactStore
from kit.clock import Clock
from kit.tls import Certificate, Names, compute_fingerprint
from wire.identity import CONTROL_HOST, CONTROL_URI, node_host, node_uri

_log = logging.getLogger(__name__)

_FACT: Final = "authority_fingerprint"
_AUTHORITY_LIFETIME: Final = dt.timedelta(days=3650)


class Authority:
    """Signs certificates of nodes and of controld itself; `open` comes first.

    `hosts` are names and addresses under which controld is dialled, for clients that look at them; our own look at the
    control host name, which is always there. The database remembers the authority's fingerprint, so that a data
    directory that was lost or mixed up is noticed before nodes are turned away.
    """

    def __init__(
        self,
        files: AuthorityFiles,
        *,
        database: Database,
        facts: FactStore,
        clock: Clock,
        hosts: tuple[str, ...],
        lifetime: dt.timedelta = dt.timedelta(days=90),
    ) -> None:
        self._files = files
        self._database = database
        self._facts = facts
        self._clock = clock
        self._names = Names(common_name="moorage controld", uri=CONTROL_URI, hosts=(CONTROL_HOST, *hosts))
        self._lifetime = lifetime
        self._certificate_pem = ""
        self._fingerprint = ""

    @property
    def certificate_pem(self) -> str:
        """The authority's certificate."""
        return self._certificate_pem

    @property
    def fingerprint(self) -> str:
        """Lowercase hex SHA-256 of the authority's certificate."""
        return self._fingerprint

    async def open(self) -> None:
        """Take up the authority, making it at first start; raises AuthorityUnusable."""
        async with self._database.read() as tx:
            known = await self._facts.get(tx, _FACT)
        if not await self._files.exists():
            if known is not None:
                raise AuthorityUnusable(
                    "cannot start: the certificate authority's files are missing from the data directory, and nodes "
                    f"trust the one with fingerprint {known}; bring them back from a backup or from the other controld"
                )
            await self._files.make(common_name="moorage authority", now=self._clock.now(), lifetime=_AUTHORITY_LIFETIME)
            _log.info("certificate authority made")
        self._certificate_pem = await self._files.open()
        self._fingerprint = compute_fingerprint(self._certificate_pem)
        async with self._database.write() as tx:
            known = await self._facts.put_once(tx, _FACT, self._fingerprint)
        if known != self._fingerprint:
            raise AuthorityUnusable(
                f"cannot start: the certificate authority in the data directory has fingerprint {self._fingerprint}, "
                f"and nodes of this database trust {known}; bring its files here from the other controld"
            )
        await self.renew_own_if_due()

    async def renew_own_if_due(self) -> bool:
        """Give controld a fresh certificate when it has none that is good now, or is past two thirds of its life."""
        own, now = await self._files.read_own(), self._clock.now()
        if own is not None and own.uri == CONTROL_URI and own.not_before_at <= now < own.renew_at():
            return False
        await self._files.make_own(self._names, now=now, lifetime=self._lifetime)
        _log.info("controld has a fresh certificate")
        return True

    async def sign_node(self, csr_pem: str, *, node_id: str) -> tuple[str, Certificate]:
        """A certificate in PEM for the node's key, and what it says; raises BadCertificate."""
        names = Names(common_name=f"node {node_id}", uri=node_uri(node_id), hosts=(node_host(node_id),))
        return await self._files.sign(csr_pem, names, now=self._clock.now(), lifetime=self._lifetime)
