"""Tokens of the image registry as rows."""

from __future__ import annotations

import datetime as dt

import msgspec
from sqlalchemy import delete, insert, select

from controld.core.ports import Transaction
from controld.model.registry import RegistryToken, Scope
from controld.store.tables import registry_tokens


class RegistryTokenStore:
    """Keeps tokens by their hash."""

    async def add_token(self, tx: Transaction, token: RegistryToken) -> None:
        """Keep a new token."""
        await tx.execute(
            insert(registry_tokens).values(
                token_sha256=token.token_sha256,
                credential_sha256=token.credential_sha256,
                scopes=[[each.kind, each.name, sorted(each.actions)] for each in token.scopes],
                expires_at=token.expires_at,
            )
        )

    async def find_token(self, tx: Transaction, token_sha256: str) -> RegistryToken | None:
        """A token by its hash, or None."""
        row = (await tx.execute(select(registry_tokens).where(registry_tokens.c.token_sha256 == token_sha256))).first()
        if row is None:
            return None
        scopes = msgspec.convert(row.scopes, list[tuple[str, str, frozenset[str]]])
        return RegistryToken(
            token_sha256=row.token_sha256,
            credential_sha256=row.credential_sha256,
            scopes=tuple(Scope(kind=kind, name=name, actions=actions) for kind, name, actions in scopes),
            expires_at=row.expires_at,
        )

    async def delete_expired(self, tx: Transaction, *, before: dt.datetime) -> None:
        """Forget tokens that ended before that moment."""
        await tx.execute(delete(registry_tokens).where(registry_tokens.c.expires_at < before))
