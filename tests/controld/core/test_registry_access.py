"""What a node may pull and push."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import insert

from controld.core.registry_access import RegistryAccess
from controld.core.registry_faults import RepositoryNotFound
from controld.store.engine import Database
from controld.store.registry import RegistryStore
from controld.store.tables import deployments, nodes, replicas
from kit.faults import Forbidden
from kit.ids import SystemIds
from tests.registry import API, NODE, NODE_ID, SERVICE_IDS, WEB, add_services

_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
async def access(either_database: Database) -> RegistryAccess:
    await add_services(either_database)
    async with either_database.write() as tx:
        await tx.execute(
            insert(nodes).values(
                id=NODE_ID,
                name="n1",
                state="ready",
                labels={},
                address="192.0.2.1",
                port=7190,
                certificate_serial="1",
                certificate_expires_at=_AT,
                created_at=_AT,
            )
        )
    return RegistryAccess(RegistryStore())


async def _deploy(database: Database, status: str, *, node_id: str = NODE_ID) -> str:
    deployment_id = SystemIds().new_id()
    async with database.write() as tx:
        await tx.execute(
            insert(deployments).values(
                id=deployment_id,
                service_id=SERVICE_IDS[WEB],
                number=1,
                request={"source": "redeploy"},
                status=status,
                node_id=node_id,
                created_at=_AT,
                phase_at=_AT,
                attempts=0,
            )
        )
    return deployment_id


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
    await _deploy(either_database, "Building", node_id="another")
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
    await _deploy(either_database, status)
    assert await _may(either_database, access) == may


async def test_a_node_pulls_what_its_replicas_are_made_of(either_database: Database, access: RegistryAccess) -> None:
    deployment_id = await _deploy(either_database, "Healthy", node_id="another")
    async with either_database.write() as tx:
        await tx.execute(
            insert(replicas).values(
                id=SystemIds().new_id(),
                service_id=SERVICE_IDS[WEB],
                deployment_id=deployment_id,
                node_id=NODE_ID,
                index=0,
                config={},
                wanted="running",
                created_at=_AT,
            )
        )
    assert await _may(either_database, access) == (True, False)
