"""controld tells Prometheus what it holds, and how it does when its database does not answer."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from prometheus_client import Metric

from controld.core.exposition import Exposition, Reader
from controld.core.faults import StoreBusy, StoreUnavailable
from controld.model.census import Census
from controld.model.deployment import Status
from controld.model.node import NodeState
from controld.store.census import CensusStore
from controld.store.engine import Database
from kit.exposition import render_exposition
from kit.faults import Forbidden
from kit.http.tally import Tally
from kit.process import ProcessReading
from tests.controld.app import App
from tests.fakes.clock import FakeClock
from tests.lint_exposition import read_exposition
from tests.waiting import eventually

_NOW = FakeClock().now()


class _Census:
    def __init__(self, census: Census) -> None:
        self._census = census

    async def read(self, tx: object) -> Census:
        return self._census


async def _process() -> ProcessReading:
    return ProcessReading(resident_bytes=7)


def _make(database: Database, *, census: _Census | CensusStore) -> Exposition:
    return Exposition(
        database=database,
        census=census,
        tally=Tally(),
        process=_process,
        gauges={"links": ("Links.", lambda: 3.0), "loop_lag_seconds": ("Lag.", lambda: None)},
        counters={"heartbeats_total": ("Heartbeats.", lambda: 9.0)},
        clock=FakeClock(),
        version="1.2",
    )


async def _read(exposition: Exposition) -> dict[str, Metric]:
    return read_exposition(render_exposition(await exposition.gather(Reader.METRICS_TOKEN)).decode())


def _by(metric: Metric, label: str) -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in metric.samples}


async def test_counts_times_and_dates_are_told_in_base_units(database: Database) -> None:
    census = Census(
        nodes={NodeState.READY: 4},
        heard_at={NodeState.READY: _NOW - dt.timedelta(seconds=2.5)},
        node_certificate_expires_at=_NOW,
        services=2,
        deployments={Status.STARTING: 1},
        jobs=1,
        job_runs={},
        certificates={"a.test": _NOW + dt.timedelta(days=30)},
        orders_failed=0,
    )
    told = await _read(_make(database, census=_Census(census)))
    value = {name: metric.samples[0].value for name, metric in told.items()}

    assert _by(told["moorage_controld_nodes"], "state")["ready"] == 4
    assert _by(told["moorage_controld_nodes"], "state")["lost"] == 0
    assert "removed" not in _by(told["moorage_controld_nodes"], "state")
    assert _by(told["moorage_controld_node_heartbeat_age_seconds"], "state") == {"ready": 2.5}
    assert _by(told["moorage_controld_deployments"], "phase")["Starting"] == 1
    expiry = told["moorage_controld_certificate_expiry_timestamp_seconds"]
    assert _by(expiry, "hostname") == {"a.test": (_NOW + dt.timedelta(days=30)).timestamp()}
    assert value["moorage_controld_process_resident_memory_bytes"] == 7
    assert value["moorage_controld_links"] == 3
    assert value["moorage_controld_heartbeats_total"] == 9
    assert value["moorage_controld_database_up"] == 1
    assert value["moorage_controld_database_bytes"] > 0
    assert "moorage_controld_loop_lag_seconds" not in told


async def test_a_database_that_does_not_answer_leaves_the_rest_to_be_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreUnavailable("cannot reach the database")

    monkeypatch.setattr(database, "read", fail)
    told = await _read(_make(database, census=CensusStore()))
    assert told["moorage_controld_database_up"].samples[0].value == 0
    assert told["moorage_controld_links"].samples[0].value == 3
    assert "moorage_controld_nodes" not in told
    assert "moorage_controld_database_bytes" not in told


async def test_writers_that_queue_are_counted(database: Database) -> None:
    exposition = _make(database, census=CensusStore())

    async def write() -> None:
        async with database.write():
            pass

    async def waiting() -> int:
        return database.waiting

    async with database.write():
        writers = [asyncio.create_task(write()) for _ in range(3)]
        await eventually(waiting, met=lambda count: count == 3)
        queued = await _read(exposition)
    await asyncio.gather(*writers)
    after = await _read(exposition)

    assert queued["moorage_controld_database_waiting"].samples[0].value == 3
    assert after["moorage_controld_database_waiting"].samples[0].value == 0
    took = after["moorage_controld_database_write_duration_seconds"].samples
    assert [each.value for each in took if each.name.endswith("_count")] == [4]


async def test_a_transaction_that_gives_up_is_counted_as_busy(database: Database) -> None:
    with pytest.raises(StoreBusy):
        async with database.write():
            raise StoreBusy("cannot use the database: no turn came")
    told = await _read(_make(database, census=CensusStore()))
    assert told["moorage_controld_database_busy_total"].samples[0].value == 1


async def test_only_super_admins_may_read_it(app: App) -> None:
    exposition = _make(app.database, census=CensusStore())
    await app.add_user("root", super_admin=True)
    assert await exposition.gather(await app.caller("root"))
    with pytest.raises(Forbidden):
        await exposition.gather(await app.caller("ada"))
