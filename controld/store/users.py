"""People in the database, with the hashes of their passwords."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, select, update

from controld.core.ports import Transaction
from controld.model.user import User
from controld.store.tables import users


class UserStore:
    """Reads and writes users; each change announces ("user", id)."""

    async def add(self, tx: Transaction, user: User, *, password_hash: str) -> None:
        """Keep a new user."""
        await tx.execute(
            users.insert().values(
                id=user.id,
                username=user.username,
                password_hash=password_hash,
                is_super_admin=user.is_super_admin,
                created_at=user.created_at,
            )
        )
        tx.announce("user", user.id)

    async def get(self, tx: Transaction, user_id: str) -> User | None:
        """The user."""
        row = (await tx.execute(select(users).where(users.c.id == user_id))).one_or_none()
        return None if row is None else _user(row)

    async def list(self, tx: Transaction) -> list[User]:
        """All users by username."""
        return [_user(row) for row in await tx.execute(select(users).order_by(users.c.username))]

    async def find_login(self, tx: Transaction, username: str) -> tuple[User, str] | None:
        """The user of that name and the hash of their password."""
        row = (await tx.execute(select(users).where(users.c.username == username))).one_or_none()
        return None if row is None else (_user(row), row.password_hash)

    async def set_password(self, tx: Transaction, user_id: str, *, password_hash: str) -> None:
        """Replace the hash of a user's password."""
        await tx.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))

    async def set_super_admin(self, tx: Transaction, user_id: str, *, is_super_admin: bool) -> None:
        """Make or unmake a user a super-admin."""
        await tx.execute(update(users).where(users.c.id == user_id).values(is_super_admin=is_super_admin))
        tx.announce("user", user_id)

    async def delete(self, tx: Transaction, user_id: str) -> bool:
        """Remove the user with their sessions, tokens and memberships; False when there is none."""
        found = (await tx.execute(delete(users).where(users.c.id == user_id))).rowcount
        tx.announce("user", user_id)
        return bool(found)

    async def count_super_admins(self, tx: Transaction) -> int:
        """How many users are super-admins."""
        statement = select(func.count()).select_from(users).where(users.c.is_super_admin.is_(True))
        return int((await tx.execute(statement)).scalar_one())


def _user(row: Row[Any]) -> User:
    return User(id=row.id, username=row.username, is_super_admin=row.is_super_admin, created_at=row.created_at)
