"""Hostnames of services: attached, verified by a proof that only their owner can place, and detached."""

from __future__ import annotations

import builtins
import dataclasses
import datetime as dt
from typing import Final

from controld.core.audit import Audit
from controld.core.domain_faults import ChallengeNotFound, DomainNotFound, VerificationBusy
from controld.core.faults import HostnameTaken, ServiceNotFound
from controld.core.ports import Database, Transaction
from controld.core.ports_certificates import CertificateStore
from controld.core.ports_domains import LeaseStore, OwnershipProbe
from controld.core.ports_services import HostnameStore, ServiceStore
from controld.core.proof_spread import ProofSpread
from controld.model.caller import Caller
from controld.model.certificate import Certificate, CertificateTold
from controld.model.hostname import Hostname, HostnameStatus
from controld.model.service import Service
from controld.rules.access import check
from controld.rules.certificates import hurry
from controld.rules.hostnames import find_hostname_problem, is_reserved, make_hostname
from controld.rules.ownership import CHALLENGE_PATH, conclude, find_problem
from kit.clock import Clock
from kit.faults import Invalid
from kit.ids import Ids

_CHECK_SECONDS: Final = 30.0
"""A check is over by then; one whose controld died holds the next off no longer."""
_SPREAD_SECONDS: Final = 5.0
"""So long the nodes have to take a proof up that was attached a moment ago."""


@dataclasses.dataclass(frozen=True, slots=True)
class Domain:
    """A hostname, and how it stands with its certificate where there is word of one."""

    hostname: Hostname
    certificate: CertificateTold | None


class Domains:
    """Keeps a service's hostnames; a hostname exists once across all projects, pending or not."""

    def __init__(
        self,
        *,
        database: Database,
        services: ServiceStore,
        hostnames: HostnameStore,
        certificates: CertificateStore,
        leases: LeaseStore,
        probe: OwnershipProbe,
        spread: ProofSpread,
        audit: Audit,
        clock: Clock,
        ids: Ids,
        base_domain: str,
        control_domain: str | None,
    ) -> None:
        self._database = database
        self._services = services
        self._hostnames = hostnames
        self._certificates = certificates
        self._leases = leases
        self._probe = probe
        self._spread = spread
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._base_domain = base_domain
        self._control_domain = control_domain

    async def list(self, caller: Caller, service_id: str) -> builtins.list[Domain]:
        """The service's hostnames, oldest first."""
        async with self._database.read() as tx:
            await self._admit(tx, caller, service_id, operation="domains.read")
            hostnames = await self._hostnames.list(tx, service_id)
            held = await self._certificates.list(tx, only=[each.hostname for each in hostnames])
        certificates = {each.hostname: each for each in held}
        return [self._tell(each, certificates.get(each.hostname)) for each in hostnames]

    async def get(self, caller: Caller, service_id: str, *, domain_id: str) -> Domain:
        """One hostname of the service; raises DomainNotFound, also for that of another."""
        async with self._database.read() as tx:
            await self._admit(tx, caller, service_id, operation="domains.read")
            return await self._show(tx, await self._find(tx, service_id, domain_id))

    async def attach(self, caller: Caller, service_id: str, *, name: str) -> Domain:
        """Give the service a hostname that waits to be verified; raises Invalid and HostnameTaken."""
        async with self._database.write() as tx:
            await tx.lock("services")
            service = await self._admit(tx, caller, service_id, operation="domains.change")
            if problem := find_hostname_problem(name):
                raise Invalid(f"cannot attach {name!r}: {problem}")
            self._check_free(name, verb="attach")
            if await self._hostnames.find(tx, name) is not None:
                raise HostnameTaken(f"cannot attach {name}: it is taken")
            hostname = make_hostname(
                name,
                service_id,
                hostname_id=self._ids.new_id(),
                challenge_token=self._ids.new_secret(),
                now=self._clock.now(),
            )
            await self._hostnames.add(tx, hostname)
            await self._record(tx, caller, "domain.attach", service=service, hostname=hostname)
            return await self._show(tx, hostname)

    async def verify(self, caller: Caller, service_id: str, *, domain_id: str) -> Domain:
        """Ask the hostname for its proof and write down what came of it; one that is verified stays so, unasked, and a
        certificate that could not be had for it is tried again soon.

        A proof that fails is no fault: the hostname says why. Raises VerificationBusy while it is being asked.
        """
        owner = self._ids.new_id()
        async with self._database.write() as tx:
            service = await self._admit(tx, caller, service_id, operation="domains.change")
            hostname = await self._find(tx, service_id, domain_id)
            if hostname.assigned:
                return await self._show(tx, hostname)
            self._check_free(hostname.hostname, verb="verify")
            if hostname.status is HostnameStatus.VERIFIED:
                return await self._hurry(tx, hostname)
            now = self._clock.now()
            until = now + dt.timedelta(seconds=_CHECK_SECONDS)
            if not await self._leases.take(tx, _lease(hostname), owner=owner, now=now, until=until):
                raise VerificationBusy("domain verification already in progress")
        released = False
        try:
            path = CHALLENGE_PATH + hostname.challenge_token
            await self._spread.wait(hostname.hostname, path, limit_seconds=_SPREAD_SECONDS)
            proof = await self._probe.ask(hostname.hostname, path)
            problem = find_problem(proof, hostname.challenge_token)
            async with self._database.write() as tx:
                hostname = conclude(await self._find(tx, service_id, domain_id), problem, now=self._clock.now())
                await self._hostnames.update(tx, hostname)
                await self._record(tx, caller, "domain.verify", service=service, hostname=hostname)
                await self._leases.release(tx, _lease(hostname), owner=owner)
                shown = await self._show(tx, hostname)
            released = True
            return shown
        finally:
            if not released:
                async with self._database.write() as tx:
                    await self._leases.release(tx, _lease(hostname), owner=owner)

    async def detach(self, caller: Caller, service_id: str, *, domain_id: str) -> None:
        """Forget the hostname and route it no more; what the service wants of it goes too.

        A service that is left without a hostname of its own is not served over TLS any more.
        """
        async with self._database.write() as tx:
            await tx.lock("services")
            service = await self._admit(tx, caller, service_id, operation="domains.change")
            hostname = await self._find(tx, service_id, domain_id)
            if hostname.assigned:
                raise HostnameTaken(f"cannot detach {hostname.hostname}: it belongs to the platform")
            await self._hostnames.delete(tx, hostname)
            left = any(not each.assigned for each in await self._hostnames.list(tx, service_id))
            domains = tuple(name for name in service.domains if name != hostname.hostname)
            secured = service.tls_enabled and left
            if (domains, secured) != (service.domains, service.tls_enabled):
                await self._services.update(
                    tx,
                    dataclasses.replace(service, domains=domains, tls_enabled=secured, updated_at=self._clock.now()),
                )
            await self._record(tx, caller, "domain.detach", service=service, hostname=hostname)

    async def answer_challenge(self, token: str, *, host: str) -> str:
        """The proof under this token, to its own hostname alone; raises ChallengeNotFound."""
        async with self._database.read() as tx:
            hostname = await self._hostnames.find_challenged(tx, token)
        if hostname is None or hostname.hostname != host:
            raise ChallengeNotFound("cannot answer this challenge: no such token for this host")
        return hostname.challenge_token

    async def _hurry(self, tx: Transaction, hostname: Hostname) -> Domain:
        """Have a certificate that failed tried again as soon as it may be: who asks again has mended something."""
        for held in await self._certificates.list(tx, only=[hostname.hostname]):
            if (soonest := hurry(held, now=self._clock.now())) is not None:
                await self._certificates.set_next_try(tx, hostname.hostname, at=soonest)
                tx.announce("service", hostname.service_id)
        return await self._show(tx, hostname)

    async def _show(self, tx: Transaction, hostname: Hostname) -> Domain:
        held = await self._certificates.list(tx, only=[hostname.hostname])
        return self._tell(hostname, held[0] if held else None)

    def _tell(self, hostname: Hostname, held: Certificate | None) -> Domain:
        return Domain(hostname, None if held is None else CertificateTold(held, held.status(self._clock.now())))

    def _check_free(self, name: str, *, verb: str) -> None:
        if is_reserved(name, base_domain=self._base_domain, control_domain=self._control_domain):
            raise HostnameTaken(f"cannot {verb} {name}: it belongs to the platform")

    async def _admit(self, tx: Transaction, caller: Caller, service_id: str, *, operation: str) -> Service:
        missing = ServiceNotFound("service not found")
        service = await self._services.get(tx, service_id)
        if service is None:
            raise missing
        check(caller, operation, project_id=service.project_id, missing=missing)
        return service

    async def _find(self, tx: Transaction, service_id: str, domain_id: str) -> Hostname:
        hostname = await self._hostnames.get(tx, domain_id)
        if hostname is None or hostname.service_id != service_id:
            raise DomainNotFound("domain not found")
        return hostname

    async def _record(
        self, tx: Transaction, caller: Caller, action: str, *, service: Service, hostname: Hostname
    ) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="domain",
            object_id=hostname.id,
            project_id=service.project_id,
            details={
                "hostname": hostname.hostname,
                "service_id": service.id,
                "status": hostname.status.value,
                "reason": hostname.last_error,
            },
        )


def _lease(hostname: Hostname) -> str:
    return f"domain {hostname.id}"
