"""What the core needs to know who somebody is: stores of people, credentials and records, and password hashing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Protocol

from controld.core.ports import Transaction
from controld.model.audit import AuditQuery, AuditRecord
from controld.model.caller import TokenKind
from controld.model.page import Page
from controld.model.user import ApiToken, Credential, Session, User


class Passwords(Protocol):
    """Makes and checks hashes of passwords, off the loop and a few at a time."""

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        ...

    async def verify(self, password: str, *, against: str | None) -> bool:
        """Whether the password is the one; None costs as much time as a hash and is always False."""
        ...


class UserStore(Protocol):
    """Users in the database; each change announces ("user", id)."""

    async def add(self, tx: Transaction, user: User, *, password_hash: str) -> None:
        """Keep a new user."""
        ...

    async def get(self, tx: Transaction, user_id: str) -> User | None:
        """The user."""
        ...

    async def list(self, tx: Transaction) -> list[User]:
        """All users by username."""
        ...

    async def find_login(self, tx: Transaction, username: str) -> tuple[User, str] | None:
        """The user of that name and the hash of their password."""
        ...

    async def set_password(self, tx: Transaction, user_id: str, *, password_hash: str) -> None:
        """Replace the hash of a user's password."""
        ...

    async def set_super_admin(self, tx: Transaction, user_id: str, *, is_super_admin: bool) -> None:
        """Make or unmake a user a super-admin."""
        ...

    async def delete(self, tx: Transaction, user_id: str) -> bool:
        """Remove the user with their sessions, tokens and memberships; False when there is none."""
        ...

    async def count_super_admins(self, tx: Transaction) -> int:
        """How many users are super-admins."""
        ...


class CredentialStore(Protocol):
    """Sessions and API tokens in the database; the end of one announces ("token", its SHA-256)."""

    async def find(self, tx: Transaction, token_sha256: str) -> Credential | None:
        """What a token stands for, expired or not."""
        ...

    async def find_by_id(self, tx: Transaction, kind: TokenKind, credential_id: str) -> Credential | None:
        """What a session or token stands for, expired or not."""
        ...

    async def add_session(self, tx: Transaction, session: Session) -> None:
        """Keep a new session."""
        ...

    async def list_sessions(self, tx: Transaction, user_id: str, *, now: dt.datetime) -> list[Session]:
        """The user's sessions that have not expired, newest first."""
        ...

    async def delete_session(self, tx: Transaction, session_id: str) -> bool:
        """End one session; False when there is none."""
        ...

    async def delete_session_of(self, tx: Transaction, user_id: str, *, prefix: str) -> int:
        """End the user's sessions whose SHA-256 begins so, and say how many."""
        ...

    async def delete_sessions_of(self, tx: Transaction, user_id: str, *, but: str | None = None) -> int:
        """End the user's sessions, but for the one with this id, and say how many."""
        ...

    async def delete_expired(self, tx: Transaction, *, now: dt.datetime) -> int:
        """Drop what has expired, and say how many."""
        ...

    async def add_token(self, tx: Transaction, token: ApiToken) -> None:
        """Keep a new API token."""
        ...

    async def list_tokens(self, tx: Transaction, user_id: str) -> list[ApiToken]:
        """The user's tokens, newest first."""
        ...

    async def delete_token(self, tx: Transaction, token_id: str, *, user_id: str | None) -> ApiToken | None:
        """Revoke a token of this user (None: of any), and return what it was; None when there is none of this id."""
        ...

    async def touch_sessions(self, tx: Transaction, used: Iterable[tuple[str, dt.datetime, dt.datetime]]) -> None:
        """Note for sessions, by id, when they were last used and until when they last now."""
        ...

    async def touch_tokens(self, tx: Transaction, used: Iterable[tuple[str, dt.datetime]]) -> None:
        """Note for tokens, by id, when they were last used."""
        ...


class AuditStore(Protocol):
    """Audit records in the database."""

    async def add(self, tx: Transaction, record: AuditRecord) -> None:
        """Keep one more record."""
        ...

    async def list(self, tx: Transaction, query: AuditQuery, *, page: Page) -> list[AuditRecord]:
        """A page of the records that the query means and one more, newest first; `before` is one of them."""
        ...

    async def drop_older(self, tx: Transaction, moment: dt.datetime) -> int:
        """Forget a slice of the records from ahead of the moment, and say how many; 0 when there are none."""
        ...
