"""Sessions and API tokens in the database, where only the SHA-256 of each is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, select, update

from controld.core.ports import Transaction
from controld.model.caller import TokenKind
from controld.model.role import Role
from controld.model.user import ApiToken, Credential, Session, User
from controld.store.tables import api_tokens, memberships, sessions, users

_TABLES: Final = {TokenKind.SESSION: sessions, TokenKind.API_TOKEN: api_tokens}


class CredentialStore:
    """Reads and writes sessions and tokens; the end of one announces ("token", its SHA-256)."""

    async def find(self, tx: Transaction, token_sha256: str) -> Credential | None:
        """What a token stands for, expired or not."""
        for kind, table in _TABLES.items():
            if found := await self._find(tx, kind, table.c.token_sha256 == token_sha256):
                return found
        return None

    async def find_by_id(self, tx: Transaction, kind: TokenKind, credential_id: str) -> Credential | None:
        """What a session or token stands for, expired or not."""
        table = _TABLES.get(kind)
        return None if table is None else await self._find(tx, kind, table.c.id == credential_id)

    async def _find(self, tx: Transaction, kind: TokenKind, where: Any) -> Credential | None:
        table = _TABLES[kind]
        user = (users.c.username, users.c.is_super_admin, users.c.created_at.label("user_created_at"))
        statement = select(table, *user).join(users, users.c.id == table.c.user_id).where(where)
        row = (await tx.execute(statement)).one_or_none()
        return None if row is None else await self._credential(tx, row, kind=kind)

    async def add_session(self, tx: Transaction, session: Session) -> None:
        """Keep a new session."""
        await tx.execute(
            sessions.insert().values(
                id=session.id,
                token_sha256=session.token_sha256,
                user_id=session.user_id,
                created_at=session.created_at,
                expires_at=session.expires_at,
                last_used_at=session.last_used_at,
            )
        )

    async def list_sessions(self, tx: Transaction, user_id: str, *, now: dt.datetime) -> list[Session]:
        """The user's sessions that have not expired, newest first."""
        statement = (
            select(sessions)
            .where(sessions.c.user_id == user_id, sessions.c.expires_at > now)
            .order_by(sessions.c.created_at.desc(), sessions.c.id.desc())
        )
        return [_session(row) for row in await tx.execute(statement)]

    async def delete_session(self, tx: Transaction, session_id: str) -> bool:
        """End one session; False when there is none."""
        return await self._end_sessions(tx, sessions.c.id == session_id) > 0

    async def delete_session_of(self, tx: Transaction, user_id: str, *, prefix: str) -> int:
        """End the user's sessions whose SHA-256 begins so, and say how many."""
        begins = sessions.c.token_sha256.startswith(prefix, autoescape=True)
        return await self._end_sessions(tx, (sessions.c.user_id == user_id) & begins)

    async def delete_sessions_of(self, tx: Transaction, user_id: str, *, but: str | None = None) -> int:
        """End the user's sessions, but for the one with this id, and say how many."""
        condition = sessions.c.user_id == user_id
        return await self._end_sessions(tx, condition if but is None else condition & (sessions.c.id != but))

    async def delete_expired(self, tx: Transaction, *, now: dt.datetime) -> int:
        """Drop what has expired, and say how many."""
        ended = await self._end_sessions(tx, sessions.c.expires_at <= now)
        statement = delete(api_tokens).where(api_tokens.c.expires_at <= now).returning(api_tokens.c.token_sha256)
        tokens = list((await tx.execute(statement)).scalars())
        tx.announce("token", *tokens)
        return ended + len(tokens)

    async def add_token(self, tx: Transaction, token: ApiToken) -> None:
        """Keep a new API token."""
        await tx.execute(
            api_tokens.insert().values(
                id=token.id,
                token_sha256=token.token_sha256,
                user_id=token.user_id,
                name=token.name,
                created_at=token.created_at,
                expires_at=token.expires_at,
                last_used_at=token.last_used_at,
                project_id=token.project_id,
                role_ceiling=None if token.role_ceiling is None else token.role_ceiling.value,
            )
        )

    async def list_tokens(self, tx: Transaction, user_id: str) -> list[ApiToken]:
        """The user's tokens, newest first."""
        statement = (
            select(api_tokens)
            .where(api_tokens.c.user_id == user_id)
            .order_by(api_tokens.c.created_at.desc(), api_tokens.c.id.desc())
        )
        return [_token(row) for row in await tx.execute(statement)]

    async def delete_token(self, tx: Transaction, token_id: str, *, user_id: str | None) -> ApiToken | None:
        """Revoke a token of this user (None: of any), and return what it was; None when there is none of this id."""
        condition = api_tokens.c.id == token_id
        if user_id is not None:
            condition &= api_tokens.c.user_id == user_id
        row = (await tx.execute(delete(api_tokens).where(condition).returning(api_tokens))).one_or_none()
        if row is None:
            return None
        tx.announce("token", row.token_sha256)
        return _token(row)

    async def touch_sessions(self, tx: Transaction, used: Iterable[tuple[str, dt.datetime, dt.datetime]]) -> None:
        """Note for sessions, by id, when they were last used and until when they last now."""
        statement = (
            update(sessions)
            .where(sessions.c.id == bindparam("session"))
            .values(last_used_at=bindparam("used"), expires_at=bindparam("until"))
        )
        rows = [{"session": session, "used": at, "until": until} for session, at, until in used]
        if rows:
            await tx.execute(statement, rows)

    async def touch_tokens(self, tx: Transaction, used: Iterable[tuple[str, dt.datetime]]) -> None:
        """Note for tokens, by id, when they were last used."""
        statement = (
            update(api_tokens).where(api_tokens.c.id == bindparam("token")).values(last_used_at=bindparam("used"))
        )
        rows = [{"token": token, "used": at} for token, at in used]
        if rows:
            await tx.execute(statement, rows)

    async def _credential(self, tx: Transaction, row: Row[Any], *, kind: TokenKind) -> Credential:
        roles = await tx.execute(
            select(memberships.c.project_id, memberships.c.role).where(memberships.c.user_id == row.user_id)
        )
        is_token = kind is TokenKind.API_TOKEN
        return Credential(
            kind=kind,
            id=row.id,
            user=User(
                id=row.user_id,
                username=row.username,
                is_super_admin=row.is_super_admin,
                created_at=row.user_created_at,
            ),
            memberships={role.project_id: Role(role.role) for role in roles},
            created_at=row.created_at,
            expires_at=row.expires_at,
            project_limit=row.project_id if is_token else None,
            role_ceiling=Role(row.role_ceiling) if is_token and row.role_ceiling is not None else None,
        )

    async def _end_sessions(self, tx: Transaction, condition: Any) -> int:
        ended = list((await tx.execute(delete(sessions).where(condition).returning(sessions.c.token_sha256))).scalars())
        tx.announce("token", *ended)
        return len(ended)


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        token_sha256=row.token_sha256,
        user_id=row.user_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        token_sha256=row.token_sha256,
        user_id=row.user_id,
        name=row.name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        project_id=row.project_id,
        role_ceiling=None if row.role_ceiling is None else Role(row.role_ceiling),
    )
