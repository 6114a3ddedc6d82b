"""Every query of the dashboard asks for metrics that a daemon tells, and both daemons have panels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from agent.core.usage import Swept, Usage
from agent.model.metrics import DeviceIo, MemoryDetail, Reading
from agent.parts.exposition import open_exposition
from agent.parts.logs import LogParts
from agent.settings import Settings
from controld.core.exposition import Reader
from controld.parts.exposition import make_exposition
from controld.store.engine import Database
from kit.exposition import Family, Histogram
from kit.http.tally import Tally
from kit.loop_lag import LoopLag
from kit.tasks import Tasks
from tests.agent.core.test_metrics import replica
from tests.agent.core.test_usage import Containers, host
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine

_ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"moorage_[a-z0-9_]+")


async def test_the_dashboard_asks_for_nothing_that_is_not_told(database: Database) -> None:
    told = {*_name_all(await _gather_agent()), *_name_all(await _gather_controld(database))}
    dashboard = json.loads((_ROOT / "docs" / "grafana" / "moorage.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    queries += [each["query"] for each in dashboard["templating"]["list"]]
    asked = {name for query in queries for name in _NAME.findall(query)}

    assert asked <= told
    for prefix in ("moorage_replica_", "moorage_node_", "moorage_agent_", "moorage_controld_"):
        assert len({name for name in asked if name.startswith(prefix)}) >= 4
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


async def _gather_agent() -> list[Family]:
    clock, tasks = FakeClock(), Tasks("test")
    usage = Usage(FakeEngine("n-1", clock=clock), Containers(clock), spec=lambda: None, clock=clock)
    full = Reading(
        container_id="c",
        recorded_at=clock.now(),
        io=(DeviceIo(device="8:0", read_bytes=1, written_bytes=1),),
        memory=MemoryDetail(),
    )
    usage.newest = (Swept(replica=replica("r-1"), reading=full, restarts=0),)
    anything: Any = MagicMock()
    anything.usage, anything.metrics.host, anything.load.seconds = usage, host(clock, user=1), Histogram(())
    parts = dict.fromkeys(("engine", "convergence", "works", "link", "consoles"), anything)
    logs = LogParts(logs=anything, archive=anything, sweeper=anything)
    exposition = open_exposition(
        Settings(), anything, tally=Tally(), logs=logs, tasks=tasks, clock=clock, version="1", **parts
    )
    try:
        return await exposition.gather()
    finally:
        await tasks.close()


async def _gather_controld(database: Database) -> list[Family]:
    ground: Any = MagicMock(database=database, clock=FakeClock())
    parts: dict[str, Any] = {name: MagicMock() for name in ("people", "nodes", "consoles", "logs")}
    exposition = make_exposition(ground, tally=Tally(), lag=LoopLag(ground.clock), **parts)
    return await exposition.gather(Reader.METRICS_TOKEN)


def _name_all(families: Iterable[Family]) -> Iterator[str]:
    for family in families:
        if family.kind == "histogram":
            yield from (f"{family.name}_{end}" for end in ("bucket", "sum", "count"))
        else:
            yield family.name
