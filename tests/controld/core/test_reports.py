"""The numbers of the platform's host are those of one node, for as long as that one speaks."""

from __future__ import annotations

import msgspec

from controld.core.reports import Reports
from controld.store.node_reports import NodeReportStore
from tests.controld.api.v1.test_nodes import HOST
from tests.controld.app import App
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
