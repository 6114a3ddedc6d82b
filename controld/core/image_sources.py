"""Images of external registries: that a source names one of its own project, and what to pull it with."""

from __future__ import annotations

import dataclasses

from controld.core.faults import RegistryNotFound
from controld.core.ports import Database, Transaction
from controld.core.ports_registries import ExternalRegistryStore, RegistryClient
from controld.core.ports_secrets import SecretVault
from controld.model.external_registry import ExternalRegistry, RegistryAuth
from controld.model.service import ExternalImageSource, ServiceSource
from controld.model.work import WorkOrder
from controld.rules.external_registry import make_login
from wire.agent.builds import RegistryLogin


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """An image to be pulled now."""

    reference: str
    """By digest where the registry told it."""
    login: RegistryLogin | None


class ImageSources:
    """Checks sources when they are written, and opens what they sign in with when they are pulled."""

    def __init__(
        self, *, database: Database, registries: ExternalRegistryStore, vault: SecretVault, client: RegistryClient
    ) -> None:
        self._database = database
        self._registries = registries
        self._vault = vault
        self._client = client

    async def open(self, order: WorkOrder) -> Pull:
        """What to pull the order's image with; raises RegistryNotFound, SecretShut, RegistryRefused and Invalid."""
        if order.registry_id is None:
            return Pull(reference=order.image or "", login=None)
        async with self._database.read() as tx:
            registry = await find_registry(tx, self._registries, order.project_id, registry_id=order.registry_id)
        reference = f"{registry.endpoint}/{order.image}"
        login = None
        if registry.auth_kind is not RegistryAuth.ANONYMOUS and registry.credential_ref is not None:
            secret = await self._vault.get(order.project_id, registry.credential_ref)
            login = make_login(registry.auth_kind, secret, endpoint=registry.endpoint)
        digest = await self._client.resolve(reference, login=login)
        return Pull(reference=reference if digest is None else _by_digest(reference, digest), login=login)


async def find_registry(
    tx: Transaction, registries: ExternalRegistryStore, project_id: str, *, registry_id: str
) -> ExternalRegistry:
    """The project's registry with that id; raises RegistryNotFound."""
    registry = await registries.find(tx, project_id, registry_id=registry_id)
    if registry is None:
        raise RegistryNotFound("registry not found")
    return registry


async def check_source_registry(
    tx: Transaction, registries: ExternalRegistryStore, source: ServiceSource, *, project_id: str
) -> None:
    """Return when the source names no registry, or one of the project's own; raises RegistryNotFound.

    In the transaction that writes the source: the registry stays until that has ended.
    """
    if isinstance(source, ExternalImageSource) and source.registry_id is not None:
        await tx.lock("external registries")
        await find_registry(tx, registries, project_id, registry_id=source.registry_id)


def _by_digest(reference: str, digest: str) -> str:
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return f"{head if colon and '/' not in tag else name}@{digest}"
