"""What the database holds is counted, the same on both databases."""

from __future__ import annotations

import dataclasses
import datetime as dt

from sqlalchemy import insert

from controld.model.deployment import Status
from controld.model.node import NodeState
from controld.store.census import CensusStore
from controld.store.engine import Database
from controld.store.nodes import NodeStore
from controld.store.tables import certificates
from tests.controld.store.test_nodes import NODE, NOW


async def test_an_empty_database_has_nothing(either_database: Database) -> None:
    async with either_database.read() as tx:
        census = await CensusStore().read(tx)
    assert (census.nodes, census.heard_at, census.node_certificate_expires_at) == ({}, {}, None)
    assert (census.services, census.jobs, census.job_runs, census.certificates, census.orders_failed) == (
        0,
        0,
        {},
        {},
        0,
    )
    assert census.deployments.get(Status.HEALTHY) is None


async def test_nodes_are_counted_by_state_with_the_one_that_is_silent_for_longest(either_database: Database) -> None:
    states = (NodeState.READY, NodeState.READY, NodeState.LOST, NodeState.REMOVED)
    async with either_database.write() as tx:
        for number, state in enumerate(states):
            node = dataclasses.replace(
                NODE,
                id=f"00000000-0000-7000-8000-00000000000{number}",
                name=f"vm{number}",
                state=state,
                heard_at=NOW + dt.timedelta(seconds=number),
                certificate_expires_at=NOW + dt.timedelta(days=9 - number),
            )
            await NodeStore().add(tx, node)
    async with either_database.read() as tx:
        census = await CensusStore().read(tx)
    assert census.nodes == {NodeState.READY: 2, NodeState.LOST: 1}
    assert census.heard_at == {NodeState.READY: NOW, NodeState.LOST: NOW + dt.timedelta(seconds=2)}
    assert census.node_certificate_expires_at == NOW + dt.timedelta(days=7)


async def test_certificates_are_told_when_there_are_any_and_orders_when_they_fail(either_database: Database) -> None:
    async with either_database.write() as tx:
        for host, not_after, failures in (("a.test", NOW, 0), ("b.test", None, 3), ("c.test", NOW, 1)):
            row = {"hostname": host, "not_after_at": not_after, "failures": failures, "created_at": NOW}
            await tx.execute(insert(certificates).values(**row))
    async with either_database.read() as tx:
        census = await CensusStore().read(tx)
    assert census.certificates == {"a.test": NOW, "c.test": NOW}
    assert census.orders_failed == 2
