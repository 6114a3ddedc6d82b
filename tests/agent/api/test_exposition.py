"""The agent's page for Prometheus tells each replica, the node and the agent, as Prometheus' lint wants it."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from prometheus_client import Metric
from prometheus_client.samples import Sample

from agent.api.exposition import ExpositionRows
from agent.api.surface import make_loopback_surface
from agent.core.exposition import Exposition
from agent.core.usage import Usage
from agent.host.machine import MachineReader
from kit.exposition import gauge
from kit.http.server import Server
from kit.ids import SystemIds
from kit.process import fetch_process
from kit.tasks import Tasks
from tests.agent.core.test_metrics import replica, run
from tests.agent.core.test_usage import Containers, host
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from tests.lint_exposition import read_exposition
from wire.spec import NodeSpec

_SAMPLE = Path(__file__).parents[2] / "data" / "cgroup2-sample"


def _samples(found: dict[str, Metric], name: str) -> list[Sample]:
    return found[f"moorage_node_{name}_total"].samples


async def test_what_was_swept_is_told_in_base_units_and_what_is_unknown_is_left_out() -> None:
    clock = FakeClock()
    engine = FakeEngine("n-1", clock=clock)
    spec = NodeSpec(node_id="n-1", replicas=(replica("r-1"),))
    usage = Usage(engine, Containers(clock), spec=lambda: spec, clock=clock)
    await run(engine, "r-1")
    await clock.advance(4)
    machine = host(clock, user=250)
    await usage.sweep(machine)
    exposition = Exposition(
        usage,
        host=lambda: machine,
        machine=MachineReader(_SAMPLE / "proc"),
        process=fetch_process,
        own=lambda: [gauge("moorage_agent_link_up", "Whether it is up.", ({}, 1.0))],
        version="1.2",
    )
    tasks = Tasks("test")
    surface = make_loopback_surface(*ExpositionRows(exposition).routes())
    server = Server([surface], host="127.0.0.1", port=0, ids=SystemIds(), tasks=tasks)
    await server.start()
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{server.port}/metrics") as answer,
        ):
            text, kind = await answer.text(), answer.headers["Content-Type"]
    finally:
        await server.stop(1.0)
        await tasks.close()
    found = read_exposition(text)
    (cpu,) = found["moorage_replica_cpu_seconds_total"].samples

    assert kind.startswith("text/plain; version=0.0.4")
    assert cpu.value == clock.monotonic() * 0.5
    assert (cpu.labels["service"], cpu.labels["project"], cpu.labels["replica_id"]) == ("web", "p", "r-1")
    assert {each.labels["mode"]: each.value for each in found["moorage_node_cpu_seconds_total"].samples}["user"] == 2.5
    assert found["moorage_agent_link_up"].samples[0].value == 1.0
    waited = {
        (each.labels["resource"], each.labels["kind"]): each.value for each in _samples(found, "pressure_seconds")
    }
    assert waited["cpu", "some"] == 25.693832
    assert waited["memory", "full"] == 0
    assert {each.labels["device"]: each.value for each in _samples(found, "disk_read_bytes")} == {"vda": 549354 * 512}
    assert [each.labels["interface"] for each in _samples(found, "network_received_bytes")] == ["eth0"]
    assert found["moorage_agent_build_info"].samples[0].labels["version"] == "1.2"
    assert "moorage_replica_pids" not in found
    assert "moorage_replica_io_read_bytes_total" not in found
