"""What a node may pull and push."""

from __future__ import annotations

import pytest

from controld.core.registry_access import RegistryAccess
from controld.core.registry_faults import RepositoryNotFound
from controld.store.engine import Database
from controld.store.registry import RegistryStore
from kit.faults import Forbidden
from tests.registry import API, NODE, WEB, add_services
from tests.registry_rows import add_deployment, add_node, add_replica


@pytest.fixture
async def access(either_database: Database) -> RegistryAccess:
    await add_services(either_database)
    await add_node(either_database)
    return RegistryAccess(RegistryStore())


async def _may(database: Database, access: RegistryAccess) -> tuple[bool, bool]:
    told = []
    async with database.read() as tx:
        for find in (access.find_to_pull, access.find_to_push):
            try:
                told.append((await find(tx, NODE, WEB)).name == "shop/web")
            except (RepositoryNotFound, Forbidden):
                told.append(False)
        with pytest.raises(RepositoryNotFound):
            await access.find_to_pull(tx, NODE, API)
        with pytest.raises(RepositoryNotFound):
            await access.find_to_push(tx, NODE, API)
    return told[0], told[1]


async def test_a_node_that_has_nothing_to_do_with_a_service_knows_nothing_of_it(
    either_database: Database, access: RegistryAccess
) -> None:
    await add_deployment(either_database, "Building", node_id="another")
    assert await _may(either_database, access) == (False, False)


@pytest.mark.parametrize(
    ("status", "may"),
    [
        ("Pending", (False, False)),
        ("Building", (True, True)),
        ("Starting", (True, False)),
        ("Healthy", (False, False)),
        ("Failed", (False, False)),
    ],
)
async def test_a_node_pushes_only_while_it_builds(
    either_database: Database, access: RegistryAccess, status: str, may: tuple[bool, bool]
) -> None:
    await add_deployment(either_database, status)
    assert await _may(either_database, access) == may


async def test_a_node_pulls_what_its_replicas_are_made_of(either_database: Database, access: RegistryAccess) -> None:
    deployment_id = await add_deployment(either_database, "Healthy", node_id="another")
    await add_replica(either_database, deployment_id, image="shop/web@sha256:0")
    assert await _may(either_database, access) == (True, False)
