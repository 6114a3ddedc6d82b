"""A short soak leaves nothing behind: deployments, viewers, consoles, kills, a job; `scripts/soak` goes on longer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.soak.readings import DAEMONS
from benchmarks.soak.run import Soak
from tests.e2e.platform import Platform, open_platform, run_down, run_up

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def platform(tmp_path: Path, docker_engine: object) -> Iterator[Platform]:
    """A platform of its own, on which nothing else takes the room that three replicas need."""
    del docker_engine
    state = tmp_path / "state"
    try:
        yield open_platform(state, run_up(state, "--no-example"))
    finally:
        run_down(state, "--purge")


async def test_a_short_soak_is_flat_and_loses_no_request(platform: Platform, busybox_image: str) -> None:
    said: list[str] = []
    pids = {name: platform.pid(name) for name in DAEMONS}
    soak = Soak(platform, image=busybox_image, rest_seconds=3, say=said.append)
    outcome = await soak.run(seconds=0)
    print(*said, sep="\n")
    assert outcome.faults == []
    assert outcome.requests > 100
    assert len(outcome.rests) == 3
    assert [sorted(rest.readings) for rest in outcome.rests] == [["agent", "controld"]] * 3
    for name, pid in pids.items():
        assert await asyncio.to_thread(platform.pid, name) not in {0, pid}, f"{name} was to be killed"
