"""The machine's counters come from procfs, and what is missing there is left out."""

from __future__ import annotations

from pathlib import Path

from agent.host.machine import MachineReader
from agent.model.machine import MachineCounters, Traffic

_SAMPLE = Path(__file__).parents[2] / "data" / "cgroup2-sample" / "proc"


async def test_a_host_with_pressure_tells_all_of_it() -> None:
    counters = await MachineReader(_SAMPLE).read()
    assert [each.resource for each in counters.pressure] == ["cpu", "memory", "io"]
    assert counters.disks == (Traffic(name="vda", in_bytes=549354 * 512, out_bytes=33352 * 512),)
    assert [each.name for each in counters.interfaces] == ["eth0"]


async def test_a_host_that_tells_nothing_has_no_counters(tmp_path: Path) -> None:
    assert await MachineReader(tmp_path).read() == MachineCounters()
