"""Reports are written behind, and of several nodes one tells the numbers of the platform's host."""

from __future__ import annotations

import asyncio

import msgspec

from controld.core.reports import Reports
from controld.store.engine import Database
from controld.store.node_reports import NodeReportStore
from controld.store.nodes import NodeStore
from kit.tasks import Tasks
from tests.controld.api.v1.test_nodes import HOST
from tests.controld.app import App
from tests.controld.store.test_nodes import NODE, NOW
from tests.fakes.clock import FakeClock
from wire.link import Heartbeat


async def test_of_several_nodes_the_oldest_stands_for_the_host_until_it_falls_silent(app: App) -> None:
    reports = Reports(database=app.database, store=NodeReportStore(), feed=app.database.feed, clock=app.clock)
    told = {name: reports.start(name) for name in ("n1", "n2")}

    def say(name: str, memory_bytes: int) -> int:
        heartbeat = Heartbeat(
            seq=1,
            sent_at=app.clock.now(),
            applied_digest=None,
            converged=True,
            wire_version=1,
            agent_version="1",
            host=msgspec.structs.replace(HOST, memory_total_bytes=memory_bytes),
        )
        reports.take(told[name], heartbeat)
        newest = reports.latest_host_report()
        assert newest is not None
        return newest.memory_total_bytes

    assert say("n2", 20) == 20
    assert say("n1", 10) == 10
    assert say("n2", 21) == 10
    assert say("n1", 11) == 11
    await app.clock.advance(61)
    assert say("n2", 22) == 22
    assert say("n1", 12) == 12


async def test_flushing_while_another_flush_is_under_way_returns_when_both_are_written(database: Database) -> None:
    store = NodeReportStore()
    reports = Reports(database=database, store=store, feed=database.feed, clock=FakeClock())
    async with database.write() as tx:
        await NodeStore().add(tx, NODE)
    report = reports.start(NODE.id)
    heartbeat = Heartbeat(seq=1, sent_at=NOW, applied_digest=None, converged=True, wire_version=1, agent_version="1")
    reports.take(report, heartbeat)
    reports.end(report)
    tasks = Tasks("flush")
    async with database.write():
        tasks.start("first", reports.flush())
        second = tasks.start("second", reports.flush())
        for _ in range(5):
            await asyncio.sleep(0)
        assert (reports.waiting, second.done()) == (0, False)
    await second
    async with database.read() as tx:
        assert await store.get(tx, NODE.id) is not None
    await tasks.close()
