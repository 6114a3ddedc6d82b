"""Certificates of hosts in the database, the hosts that need one, and proofs for their authority."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, and_, delete, insert, or_, select, update

from controld.core.ports import Transaction
from controld.model.certificate import Certificate, HttpProof, SecuredHost
from controld.store.leases import has_ended
from controld.store.tables import acme_proofs, certificates, hostnames, services


class CertificateStore:
    """Reads and writes certificates; each change of proofs announces ("challenge", hostname)."""

    async def list_secured(self, tx: Transaction, *, assigned: bool) -> list[SecuredHost]:
        """The verified hosts that people gave services which want TLS; with `assigned` also the platform's own."""
        given = and_(hostnames.c.assigned.is_(False), services.c.tls_enabled.is_(True))
        wanted = (
            select(hostnames.c.hostname, hostnames.c.service_id)
            .join(services, services.c.id == hostnames.c.service_id)
            .where(hostnames.c.status == "verified", or_(hostnames.c.assigned, given) if assigned else given)
            .order_by(hostnames.c.hostname)
        )
        return [SecuredHost(hostname=row.hostname, service_id=row.service_id) for row in await tx.execute(wanted)]

    async def list(self, tx: Transaction, *, only: Collection[str] | None = None) -> list[Certificate]:
        """Certificates by hostname; with `only`, those of these."""
        statement = select(certificates).order_by(certificates.c.hostname)
        if only is not None:
            statement = statement.where(certificates.c.hostname.in_(only))
        return [_certificate(row) for row in await tx.execute(statement)]

    async def claim(
        self, tx: Transaction, hostname: str, *, owner: str, now: dt.datetime, until: dt.datetime
    ) -> Certificate | None:
        """Take the lease on a host's certificate when nobody holds it, making its row where there is none."""
        await tx.lock(f"certificate {hostname}")
        known = (await tx.execute(select(certificates).where(certificates.c.hostname == hostname))).one_or_none()
        if known is None:
            await tx.execute(
                insert(certificates).values(
                    hostname=hostname, failures=0, created_at=now, lease_owner=owner, lease_until=until
                )
            )
            return Certificate(hostname=hostname, created_at=now)
        taken = await tx.execute(
            update(certificates)
            .where(
                certificates.c.hostname == hostname,
                or_(
                    certificates.c.lease_owner.is_(None),
                    has_ended(certificates.c.lease_until, now=now, until=until),
                ),
            )
            .values(lease_owner=owner, lease_until=until)
        )
        return _certificate(known) if taken.rowcount == 1 else None

    async def conclude(self, tx: Transaction, certificate: Certificate, *, owner: str) -> bool:
        """Write down what came of a try and give the lease back; False when the lease is another's by now."""
        written = await tx.execute(
            update(certificates)
            .where(certificates.c.hostname == certificate.hostname, certificates.c.lease_owner == owner)
            .values(
                chain_pem=certificate.chain_pem,
                key_ref=certificate.key_ref,
                not_before_at=certificate.not_before_at,
                not_after_at=certificate.not_after_at,
                issued_at=certificate.issued_at,
                failures=certificate.failures,
                last_error=certificate.last_error,
                last_try_at=certificate.last_try_at,
                next_try_at=certificate.next_try_at,
                barred_until_at=certificate.barred_until_at,
                lease_owner=None,
                lease_until=None,
            )
        )
        return bool(written.rowcount)

    async def release(self, tx: Transaction, hostname: str, *, owner: str) -> None:
        """Give the lease back with nothing changed."""
        await tx.execute(
            update(certificates)
            .where(certificates.c.hostname == hostname, certificates.c.lease_owner == owner)
            .values(lease_owner=None, lease_until=None)
        )

    async def set_next_try(self, tx: Transaction, hostname: str, *, at: dt.datetime) -> None:
        """Have the host's next try be then."""
        await tx.execute(update(certificates).where(certificates.c.hostname == hostname).values(next_try_at=at))

    async def drop(self, tx: Transaction, hostname: str) -> None:
        """Forget a host's certificate."""
        await tx.execute(delete(certificates).where(certificates.c.hostname == hostname))

    async def add_proof(self, tx: Transaction, hostname: str, *, proof: HttpProof, now: dt.datetime) -> None:
        """Have every node answer this."""
        await tx.execute(delete(acme_proofs).where(acme_proofs.c.token == proof.token))
        await tx.execute(
            insert(acme_proofs).values(token=proof.token, hostname=hostname, body=proof.body, created_at=now)
        )
        tx.announce("challenge", hostname)

    async def drop_proofs(self, tx: Transaction, hostname: str) -> None:
        """Have no node answer for the host any more."""
        dropped = await tx.execute(delete(acme_proofs).where(acme_proofs.c.hostname == hostname))
        if dropped.rowcount:
            tx.announce("challenge", hostname)

    async def find_proof(self, tx: Transaction, token: str) -> str | None:
        """What is answered under this token."""
        found = await tx.execute(select(acme_proofs.c.body).where(acme_proofs.c.token == token))
        body: str | None = found.scalar_one_or_none()
        return body


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(
        hostname=row.hostname,
        created_at=row.created_at,
        chain_pem=row.chain_pem,
        key_ref=row.key_ref,
        not_before_at=row.not_before_at,
        not_after_at=row.not_after_at,
        issued_at=row.issued_at,
        failures=row.failures,
        last_error=row.last_error,
        last_try_at=row.last_try_at,
        next_try_at=row.next_try_at,
        barred_until_at=row.barred_until_at,
    )
