"""What the core needs to keep external registries and to speak to them."""

from __future__ import annotations

from typing import Protocol

from controld.core.ports import Transaction
from controld.model.external_registry import ExternalRegistry
from wire.agent.builds import RegistryLogin


class ExternalRegistryStore(Protocol):
    """External registries in the database; each change announces ("external_registry", id)."""

    async def add(self, tx: Transaction, registry: ExternalRegistry) -> None:
        """Keep a new registry."""
        ...

    async def update(self, tx: Transaction, registry: ExternalRegistry) -> None:
        """Replace all of a registry but its id, its project and when it was made."""
        ...

    async def find(self, tx: Transaction, project_id: str, *, registry_id: str) -> ExternalRegistry | None:
        """The project's registry with that id."""
        ...

    async def list_users(self, tx: Transaction, registry: ExternalRegistry) -> list[str]:
        """What pulls from it, by kind and name."""
        ...

    async def delete(self, tx: Transaction, registry_id: str) -> None:
        """Forget it."""
        ...

    async def list(self, tx: Transaction, project_id: str) -> list[ExternalRegistry]:
        """The project's registries by name."""
        ...


class RegistryClient(Protocol):
    """Speaks to external registries."""

    async def resolve(self, reference: str, *, login: RegistryLogin | None) -> str | None:
        """The digest that the reference names now, or None where the registry does not say.

        Raises RegistryRefused when it takes nobody so signed in, or has no such image, or stands where we do not go.
        """
        ...
