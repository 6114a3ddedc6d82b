"""External registries of projects: kept with what signs in to them, which nobody is told again."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
from collections.abc import Sequence
from typing import Final

from controld.core.audit import Audit
from controld.core.faults import InUse, NameTaken, ProjectNotFound, RegistryNotFound
from controld.core.ports import Database, Transaction
from controld.core.ports_registries import ExternalRegistryStore
from controld.core.ports_secrets import SecretVault
from controld.core.ports_services import ProjectStore
from controld.model.caller import Caller
from controld.model.external_registry import ExternalRegistry, ExternalRegistryDraft
from controld.rules.access import check
from controld.rules.external_registry import check_registry, make_secret
from kit.clock import Clock
from kit.faults import Invalid
from kit.ids import Ids

_MOST_IN_A_PROJECT: Final = 100


class ExternalRegistries:
    """Keeps the registries that a project pulls from; `allow_private` lets them stand inside a network.

    A secret is written before the row that names it and removed after, both under the write lock, so that a row has
    its secret always.
    """

    def __init__(
        self,
        *,
        database: Database,
        registries: ExternalRegistryStore,
        projects: ProjectStore,
        vault: SecretVault,
        audit: Audit,
        clock: Clock,
        ids: Ids,
        allow_private: bool,
    ) -> None:
        self._database = database
        self._registries = registries
        self._projects = projects
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._allow_private = allow_private

    async def list(self, caller: Caller, project_id: str) -> builtins.list[ExternalRegistry]:
        """The project's registries by name; raises ProjectNotFound."""
        async with self._database.read() as tx:
            await self._admit(tx, caller, project_id, operation="registries.read")
            return await self._registries.list(tx, project_id)

    async def get(self, caller: Caller, project_id: str, *, registry_id: str) -> ExternalRegistry:
        """One registry of the project; raises ProjectNotFound and RegistryNotFound."""
        async with self._database.read() as tx:
            await self._admit(tx, caller, project_id, operation="registries.read")
            return await self._find(tx, project_id, registry_id)

    async def create(self, caller: Caller, project_id: str, draft: ExternalRegistryDraft) -> ExternalRegistry:
        """Keep a registry and its sign-in; raises ProjectNotFound, NameTaken, and Invalid for what cannot be used."""
        async with self._database.read() as tx:
            await self._admit(tx, caller, project_id, operation="registries.change")
        draft, secret = self._check(draft)
        now = self._clock.now()
        registry = ExternalRegistry(
            id=self._ids.new_id(),
            project_id=project_id,
            name=draft.name,
            endpoint=draft.endpoint,
            auth_kind=draft.auth_kind,
            credential_ref=self._new_ref() if secret else None,
            created_at=now,
            updated_at=now,
        )
        try:
            async with self._database.write() as tx:
                await tx.lock("external registries")
                await self._admit(tx, caller, project_id, operation="registries.change")
                known = await self._registries.list(tx, project_id)
                _check_name(registry, known)
                if len(known) >= _MOST_IN_A_PROJECT:
                    raise Invalid(f"cannot save registry: a project has at most {_MOST_IN_A_PROJECT}")
                await self._registries.add(tx, registry)
                await self._record(tx, caller, "registries.create", registry=registry)
                if registry.credential_ref is not None:
                    await self._vault.put(project_id, registry.credential_ref, values=secret)
        except BaseException:
            await asyncio.shield(self._forget(registry))
            raise
        return registry

    async def replace(
        self, caller: Caller, project_id: str, draft: ExternalRegistryDraft, *, registry_id: str
    ) -> ExternalRegistry:
        """Replace all of a registry, its sign-in included; its id and its `credential_ref` stay.

        Raises ProjectNotFound, RegistryNotFound, NameTaken, and Invalid for what cannot be used.
        """
        async with self._database.write() as tx:
            await tx.lock("external registries")
            await self._admit(tx, caller, project_id, operation="registries.change")
            stored = await self._find(tx, project_id, registry_id)
            draft, secret = self._check(draft)
            registry = dataclasses.replace(
                stored,
                name=draft.name,
                endpoint=draft.endpoint,
                auth_kind=draft.auth_kind,
                credential_ref=(stored.credential_ref or self._new_ref()) if secret else None,
                updated_at=self._clock.now(),
            )
            _check_name(registry, await self._registries.list(tx, project_id))
            await self._registries.update(tx, registry)
            await self._record(tx, caller, "registries.update", registry=registry)
            if registry.credential_ref is not None:
                # Should the row not follow, the endpoint that the secret holds keeps it from going elsewhere.
                await self._vault.put(project_id, registry.credential_ref, values=secret)
        if registry.credential_ref is None:
            await self._forget(stored)
        return registry

    async def delete(self, caller: Caller, project_id: str, *, registry_id: str) -> None:
        """Forget a registry and its sign-in; raises RegistryNotFound, and InUse while something pulls from it."""
        async with self._database.write() as tx:
            await tx.lock("external registries")
            await self._admit(tx, caller, project_id, operation="registries.change")
            registry = await self._find(tx, project_id, registry_id)
            if users := await self._registries.list_users(tx, registry):
                raise InUse(f"cannot delete registry {registry.name}: {', '.join(users[:5])} pulls from it")
            await self._registries.delete(tx, registry_id)
            await self._record(tx, caller, "registries.delete", registry=registry)
        await self._forget(registry)

    def _check(self, draft: ExternalRegistryDraft) -> tuple[ExternalRegistryDraft, dict[str, str]]:
        draft = dataclasses.replace(draft, name=draft.name.strip(), endpoint=draft.endpoint.strip())
        check_registry(draft, allow_private=self._allow_private)
        return draft, make_secret(draft)

    def _new_ref(self) -> str:
        return f"registry-{self._ids.new_secret(16)}"

    async def _forget(self, registry: ExternalRegistry) -> None:
        if registry.credential_ref is not None:
            await self._vault.delete(registry.project_id, registry.credential_ref)

    async def _find(self, tx: Transaction, project_id: str, registry_id: str) -> ExternalRegistry:
        found = await self._registries.find(tx, project_id, registry_id=registry_id)
        if found is None:
            raise RegistryNotFound("registry not found")
        return found

    async def _admit(self, tx: Transaction, caller: Caller, project_id: str, *, operation: str) -> None:
        missing = ProjectNotFound("cannot find project: no such project")
        check(caller, operation, project_id=project_id, missing=missing)
        if await self._projects.get(tx, project_id) is None:
            raise missing

    async def _record(self, tx: Transaction, caller: Caller, action: str, *, registry: ExternalRegistry) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="external_registry",
            object_id=registry.id,
            project_id=registry.project_id,
            details={"name": registry.name, "endpoint": registry.endpoint, "auth_kind": registry.auth_kind.value},
        )


def _check_name(registry: ExternalRegistry, known: Sequence[ExternalRegistry]) -> None:
    if any(each.name == registry.name and each.id != registry.id for each in known):
        raise NameTaken(f"cannot save registry: the project has one named {registry.name!r}")
