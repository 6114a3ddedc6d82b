"""What the core needs to keep what repositories are cloned with."""

from __future__ import annotations

from typing import Protocol

from controld.core.ports import Transaction
from controld.model.git_credential import GitCredential


class TrustFiles(Protocol):
    """Whom the operator trusts as a host of repositories."""

    async def read(self) -> tuple[str | None, str | None]:
        """Known hosts as ssh reads them, and certificates in PEM; raises StorageFailed."""
        ...


class GitCredentialStore(Protocol):
    """What may be seen of git credentials, in the database."""

    async def add(self, tx: Transaction, credential: GitCredential) -> None:
        """Keep a new credential."""
        ...

    async def find(self, tx: Transaction, project_id: str, *, name: str) -> GitCredential | None:
        """The project's credential of that name."""
        ...

    async def list(self, tx: Transaction, *, project_id: str | None = None) -> list[GitCredential]:
        """Credentials by name; of one project, or of all."""
        ...

    async def rename(self, tx: Transaction, credential_id: str, *, name: str) -> None:
        """Give it another name."""
        ...

    async def delete(self, tx: Transaction, credential_id: str) -> None:
        """Forget it."""
        ...
