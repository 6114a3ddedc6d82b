"""Certificates of the hosts that the world asks: one order for each, renewed in time, none at another's cost."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable
from typing import Final

from controld.core.certificate_keys import FIELD, SCOPE, CertificateKeys
from controld.core.domain_faults import ChallengeNotFound, IssuerRefused, IssuerUnreachable
from controld.core.faults import SecretNotFound
from controld.core.ports import Database, FactStore
from controld.core.ports_certificates import CertificateStore, Issuer
from controld.core.ports_secrets import SecretVault
from controld.core.proof_spread import ProofSpread
from controld.model.caller import Caller
from controld.model.certificate import Certificate, CertificateTold, Issued, SecuredHost
from controld.rules.access import check
from controld.rules.certificates import ACME_PATH, compute_pause, is_due, shorten_error
from kit.clock import Clock
from kit.faults import Fault
from kit.ids import Ids
from kit.tls import make_key

_log = logging.getLogger(__name__)

_SPREAD_SECONDS: Final = 20.0
_ORDER_SECONDS: Final = 240.0
_LEASE: Final = dt.timedelta(seconds=300)
"""Longer than an order may take: whoever holds it is at it, or dead."""


class Certificates:
    """Orders certificates one host at a time under a lease, so that several controlds never order the same.

    `issuer` is absent where no certificates can be had. `jitter` draws from 0 to 1.
    """

    def __init__(
        self,
        *,
        database: Database,
        certificates: CertificateStore,
        facts: FactStore,
        keys: CertificateKeys,
        vault: SecretVault,
        issuer: Issuer | None,
        spread: ProofSpread,
        clock: Clock,
        ids: Ids,
        jitter: Callable[[], float],
        renew_before: dt.timedelta,
        control_domain: str | None,
        assigned: bool,
    ) -> None:
        self._database = database
        self._certificates = certificates
        self._facts = facts
        self._keys = keys
        self._vault = vault
        self._issuer = issuer
        self._spread = spread
        self._clock = clock
        self._ids = ids
        self._jitter = jitter
        self._renew_before = renew_before
        self._control_domain = control_domain
        self._assigned = assigned

    async def list(self, caller: Caller) -> builtins.list[CertificateTold]:
        """Every certificate by hostname, those of hosts that nobody needs any more included until they expire."""
        check(caller, "certificates.read")
        async with self._database.read() as tx:
            held = await self._certificates.list(tx)
        now = self._clock.now()
        return [CertificateTold(each, each.status(now)) for each in held]

    async def answer_challenge(self, token: str) -> str:
        """What the authority asks for under this token; raises ChallengeNotFound."""
        async with self._database.read() as tx:
            body = await self._certificates.find_proof(tx, token)
        if body is None:
            raise ChallengeNotFound("cannot answer this challenge: no such token")
        return body

    async def list_due(self) -> builtins.list[SecuredHost]:
        """The hosts to order for now, those without any certificate first; none while no node is there to answer."""
        if self._issuer is None or not await self._spread.has_nodes():
            return []
        now = self._clock.now()
        async with self._database.read() as tx:
            hosts = await self._certificates.list_secured(tx, assigned=self._assigned)
            known = {each.hostname: each for each in await self._certificates.list(tx)}
        if self._control_domain is not None:
            hosts.insert(0, SecuredHost(hostname=self._control_domain, service_id=None))
        due = [host for host in hosts if self._is_due(known.get(host.hostname), now)]
        return sorted(due, key=lambda host: (known.get(host.hostname) or _NONE).chain_pem is not None)

    async def drop_useless(self) -> None:
        """Forget the certificates, with their keys, that have expired and that no host needs."""
        now = self._clock.now()
        async with self._database.read() as tx:
            secured = await self._certificates.list_secured(tx, assigned=self._assigned)
            known = await self._certificates.list(tx)
        needed = {self._control_domain, *(host.hostname for host in secured)}
        for each in known:
            over = each.chain_pem is None or (each.not_after_at is not None and each.not_after_at <= now)
            if over and each.hostname not in needed:
                async with self._database.write() as tx:
                    await self._certificates.drop(tx, each.hostname)
                if each.key_ref is not None:
                    await self._keys.drop(each.key_ref)

    async def renew(self, host: SecuredHost) -> bool:
        """Order a certificate for the host, or say False when another is at it already.

        What fails is written down, and due again later.
        """
        now, owner = self._clock.now(), self._ids.new_id()
        async with self._database.write() as tx:
            before = await self._certificates.claim(tx, host.hostname, owner=owner, now=now, until=now + _LEASE)
        if before is None:
            return False
        after, concluded = before, False
        try:
            after = await self._try(before)
            async with self._database.write() as tx:
                concluded = await self._certificates.conclude(tx, after, owner=owner)
                await self._certificates.drop_proofs(tx, host.hostname)
                if concluded and after.key_ref != before.key_ref:
                    tx.announce("challenge" if host.service_id is None else "service", host.service_id or host.hostname)
        finally:
            if not concluded:
                async with self._database.write() as tx:
                    await self._certificates.drop_proofs(tx, host.hostname)
                    await self._certificates.release(tx, host.hostname, owner=owner)
            useless = before.key_ref if concluded else after.key_ref
            if after.key_ref != before.key_ref and useless is not None:
                await self._keys.drop(useless)
        return True

    def _is_due(self, certificate: Certificate | None, now: dt.datetime) -> bool:
        if certificate is not None and certificate.key_ref in self._keys.lost:
            certificate = dataclasses.replace(certificate, chain_pem=None)
        return is_due(certificate, now=now, renew_before=self._renew_before)

    async def _try(self, before: Certificate) -> Certificate:
        """What is to be written down after one try; the key of a certificate that was got by it is in the vault."""
        started_at = self._clock.now()
        key_ref = f"certificate-{self._ids.new_id()}"
        issued = None
        try:
            async with asyncio.timeout(_ORDER_SECONDS):
                issued = await self._order(before.hostname, key_ref)
        except (Fault, TimeoutError) as error:
            return self._take_failure(before, error)
        finally:
            if issued is None:
                await self._keys.drop(key_ref)
        _log.info("certificate issued", extra={"host": before.hostname, "until": issued.not_after_at.isoformat()})
        return dataclasses.replace(
            before,
            chain_pem=issued.chain_pem,
            key_ref=key_ref,
            not_before_at=issued.not_before_at,
            not_after_at=issued.not_after_at,
            issued_at=self._clock.now(),
            failures=0,
            last_error=None,
            last_try_at=started_at,
            next_try_at=None,
            barred_until_at=None,
        )

    def _take_failure(self, before: Certificate, error: Fault | TimeoutError) -> Certificate:
        now = self._clock.now()
        reason = error.message if isinstance(error, Fault) else f"the order took longer than {_ORDER_SECONDS:g} s"
        asked = error.retry_after_seconds if isinstance(error, Fault) else None
        failures = before.failures + 1
        pause = compute_pause(
            failures,
            jitter=self._jitter(),
            passing=isinstance(error, IssuerUnreachable),
            retry_after=None if asked is None else dt.timedelta(seconds=asked),
        )
        _log.warning(
            "certificate not issued",
            extra={"host": before.hostname, "reason": reason, "again_in_seconds": int(pause.total_seconds())},
        )
        return dataclasses.replace(
            before,
            failures=failures,
            last_error=shorten_error(reason),
            last_try_at=now,
            next_try_at=now + pause,
            barred_until_at=None if asked is None else now + dt.timedelta(seconds=asked),
        )

    async def _order(self, hostname: str, key_ref: str) -> Issued:
        """The certificate for a fresh key, which goes to the vault ahead of all else: what was issued is never lost."""
        assert self._issuer is not None
        account_key_pem = await self._open_account(self._issuer.name)
        key_pem = await asyncio.to_thread(make_key)
        await self._keys.put(key_ref, key_pem)
        order = await self._issuer.begin(hostname, account_key_pem=account_key_pem, key_pem=key_pem)
        try:
            if order.proof is not None:
                async with self._database.write() as tx:
                    await self._certificates.add_proof(tx, hostname, proof=order.proof, now=self._clock.now())
                path = ACME_PATH + order.proof.token
                if not await self._spread.wait(hostname, path, limit_seconds=_SPREAD_SECONDS):
                    _log.warning("not every node answers the authority yet", extra={"host": hostname})
            issued = await self._issuer.finish(order)
        finally:
            self._issuer.abandon(order)
        if issued.not_after_at <= self._clock.now():
            raise IssuerRefused(f"the authority's certificate for {hostname} is over already; see this host's clock")
        return issued

    async def _open_account(self, issuer: str) -> str:
        """The key of the account there, made where there is none; of several controlds that make one, one stands."""
        fact = f"acme account {issuer}"
        async with self._database.read() as tx:
            ref = await self._facts.get(tx, fact)
        if ref is not None:
            try:
                return (await self._vault.get(SCOPE, ref))[FIELD]
            except SecretNotFound:
                _log.warning("the key of the authority's account is lost, and another account is opened")
        key_pem = await asyncio.to_thread(make_key)
        fresh = f"acme-account-{self._ids.new_id()}"
        await self._vault.put(SCOPE, fresh, values={FIELD: key_pem})
        async with self._database.write() as tx:
            if ref is not None:
                await self._facts.put(tx, fact, fresh)
                return key_pem
            stands = await self._facts.put_once(tx, fact, fresh)
        if stands == fresh:
            return key_pem
        await self._vault.delete(SCOPE, fresh)
        return (await self._vault.get(SCOPE, stands))[FIELD]


_NONE: Final = Certificate(hostname="", created_at=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
