"""External registries are kept alike on both databases, know who pulls from them, and go with their project."""

from __future__ import annotations

import dataclasses

from controld.model.external_registry import ExternalRegistry, RegistryAuth
from controld.model.service import ExternalImageSource
from controld.store.engine import Database
from controld.store.external_registries import ExternalRegistryStore
from controld.store.projects import ProjectStore
from controld.store.services import ServiceStore
from tests.controld.store.rows import NOW, PROJECT, SERVICE

_GHCR = ExternalRegistry(
    id="r1",
    project_id="p1",
    name="ghcr",
    endpoint="ghcr.io",
    auth_kind=RegistryAuth.BASIC,
    credential_ref="registry-1",
    created_at=NOW,
    updated_at=NOW,
)
_OPEN = dataclasses.replace(
    _GHCR, id="r2", name="a", endpoint="quay.io:443", auth_kind=RegistryAuth.ANONYMOUS, credential_ref=None
)


async def test_a_registry_comes_back_as_it_was_kept(either_database: Database) -> None:
    store = ExternalRegistryStore()
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await store.add(tx, _GHCR)
        await store.add(tx, _OPEN)
    async with either_database.read() as tx:
        assert await store.find(tx, "p1", registry_id="r1") == _GHCR
        assert await store.find(tx, "p2", registry_id="r1") is None
        assert await store.list(tx, "p1") == [_OPEN, _GHCR]
        assert await store.list(tx, "p2") == []
    changed = dataclasses.replace(_GHCR, name="b", auth_kind=RegistryAuth.TOKEN, credential_ref="registry-2")
    async with either_database.write() as tx:
        await store.update(tx, changed)
        assert await store.list(tx, "p1") == [_OPEN, changed]
        await store.delete(tx, "r2")
        assert await store.list(tx, "p1") == [changed]
        await ProjectStore().delete(tx, "p1")
        assert await store.list(tx, "p1") == []


async def test_a_registry_knows_the_services_that_pull_from_it(either_database: Database) -> None:
    store = ExternalRegistryStore()
    source = ExternalImageSource(image="", registry_id="r1", image_ref="team/app:1")
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await store.add(tx, _GHCR)
        await store.add(tx, _OPEN)
        await ServiceStore().add(tx, SERVICE)
        assert await store.list_users(tx, _GHCR) == []
        await ServiceStore().update(tx, dataclasses.replace(SERVICE, source=source))
        assert await store.list_users(tx, _GHCR) == ["service web"]
        assert await store.list_users(tx, _OPEN) == []
