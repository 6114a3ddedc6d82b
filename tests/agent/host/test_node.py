"""The machine's numbers come from procfs and the file system, or are told to be unreadable."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.faults import HostUnreadable
from agent.host.node import HostReader
from kit.clock import SystemClock


async def test_the_numbers_of_this_machine_make_sense() -> None:
    report = await HostReader(proc_dir=Path("/proc"), disk_path=Path("/"), clock=SystemClock()).read()

    assert report.cpu_count >= 1
    assert report.cpu_user_jiffies > 0
    assert 0 < report.memory_available_bytes <= report.memory_total_bytes
    assert 0 <= report.disk_available_bytes <= report.disk_total_bytes
    assert report.load_1m >= 0


@pytest.mark.parametrize(("proc", "disk"), [("absent", "."), (".", "absent")])
async def test_numbers_that_cannot_be_read_are_a_fault(tmp_path: Path, proc: str, disk: str) -> None:
    with pytest.raises(HostUnreadable):
        await HostReader(proc_dir=tmp_path / proc, disk_path=tmp_path / disk, clock=SystemClock()).read()
