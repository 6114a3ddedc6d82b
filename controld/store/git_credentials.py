"""Git credentials as rows, without what is secret of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from controld.core.ports import Transaction
from controld.model.git_credential import GitCredential, GitCredentialKind
from controld.store.tables import git_credentials


class GitCredentialStore:
    """Reads and writes what may be seen of git credentials; each change announces ("git_credential", id)."""

    async def add(self, tx: Transaction, credential: GitCredential) -> None:
        """Keep a new credential."""
        await tx.execute(
            insert(git_credentials).values(
                id=credential.id,
                project_id=credential.project_id,
                name=credential.name,
                kind=credential.kind.value,
                username=credential.username,
                public_key=credential.public_key,
                fingerprint=credential.fingerprint,
                known_hosts=credential.known_hosts,
                created_at=credential.created_at,
            )
        )
        tx.announce("git_credential", credential.id)

    async def find(self, tx: Transaction, project_id: str, *, name: str) -> GitCredential | None:
        """The project's credential of that name."""
        wanted = select(git_credentials).where(
            git_credentials.c.project_id == project_id, git_credentials.c.name == name
        )
        row = (await tx.execute(wanted)).one_or_none()
        return None if row is None else _to_record(row)

    async def list(self, tx: Transaction, *, project_id: str | None = None) -> list[GitCredential]:
        """Credentials by name; of one project, or of all."""
        wanted = select(git_credentials).order_by(git_credentials.c.name, git_credentials.c.id)
        if project_id is not None:
            wanted = wanted.where(git_credentials.c.project_id == project_id)
        return [_to_record(row) for row in await tx.execute(wanted)]

    async def rename(self, tx: Transaction, credential_id: str, *, name: str) -> None:
        """Give it another name."""
        await tx.execute(update(git_credentials).where(git_credentials.c.id == credential_id).values(name=name))
        tx.announce("git_credential", credential_id)

    async def delete(self, tx: Transaction, credential_id: str) -> None:
        """Forget it."""
        await tx.execute(delete(git_credentials).where(git_credentials.c.id == credential_id))
        tx.announce("git_credential", credential_id)


def _to_record(row: Row[Any]) -> GitCredential:
    return GitCredential(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        kind=GitCredentialKind(row.kind),
        username=row.username,
        public_key=row.public_key,
        fingerprint=row.fingerprint,
        known_hosts=row.known_hosts,
        created_at=row.created_at,
    )
