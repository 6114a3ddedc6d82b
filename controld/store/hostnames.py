"""Hostnames of services in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, select, update

from controld.core.ports import Transaction
from controld.model.hostname import Hostname, HostnameStatus
from controld.store.tables import hostnames


class HostnameStore:
    """Reads and writes hostnames; each change announces ("service", the owner's id) and ("challenge", id)."""

    async def add(self, tx: Transaction, hostname: Hostname) -> None:
        """Keep a new hostname."""
        await tx.execute(
            hostnames.insert().values(
                id=hostname.id,
                service_id=hostname.service_id,
                hostname=hostname.hostname,
                assigned=hostname.assigned,
                challenge_token=hostname.challenge_token,
                created_at=hostname.created_at,
                **_standing(hostname),
            )
        )
        _announce(tx, hostname)

    async def update(self, tx: Transaction, hostname: Hostname) -> None:
        """Write down where it stands now: its status, and what its last check said."""
        await tx.execute(update(hostnames).where(hostnames.c.id == hostname.id).values(**_standing(hostname)))
        _announce(tx, hostname)

    async def delete(self, tx: Transaction, hostname: Hostname) -> None:
        """Forget it, so that it is free for others."""
        await tx.execute(delete(hostnames).where(hostnames.c.id == hostname.id))
        _announce(tx, hostname)

    async def get(self, tx: Transaction, hostname_id: str) -> Hostname | None:
        """The hostname with this id."""
        return await self._one(tx, hostnames.c.id == hostname_id)

    async def find(self, tx: Transaction, name: str) -> Hostname | None:
        """The hostname, whoever's it is."""
        return await self._one(tx, hostnames.c.hostname == name)

    async def find_challenged(self, tx: Transaction, token: str) -> Hostname | None:
        """The hostname whose ownership this token proves."""
        return await self._one(tx, hostnames.c.challenge_token == token)

    async def list(self, tx: Transaction, service_id: str) -> list[Hostname]:
        """The service's hostnames, oldest first."""
        statement = (
            select(hostnames)
            .where(hostnames.c.service_id == service_id)
            .order_by(hostnames.c.created_at, hostnames.c.id)
        )
        return [_hostname(row) for row in await tx.execute(statement)]

    async def _one(self, tx: Transaction, condition: Any) -> Hostname | None:
        row = (await tx.execute(select(hostnames).where(condition))).one_or_none()
        return None if row is None else _hostname(row)


def _announce(tx: Transaction, hostname: Hostname) -> None:
    tx.announce("service", hostname.service_id)
    if not hostname.assigned:
        tx.announce("challenge", hostname.id)


def _standing(hostname: Hostname) -> dict[str, Any]:
    return {
        "status": hostname.status.value,
        "verified_at": hostname.verified_at,
        "last_check_at": hostname.last_check_at,
        "last_error": hostname.last_error,
    }


def _hostname(row: Row[Any]) -> Hostname:
    return Hostname(
        id=row.id,
        service_id=row.service_id,
        hostname=row.hostname,
        status=HostnameStatus(row.status),
        assigned=row.assigned,
        challenge_token=row.challenge_token,
        verified_at=row.verified_at,
        last_check_at=row.last_check_at,
        last_error=row.last_error,
        created_at=row.created_at,
    )
