"""The beat of the registry's upkeep."""

from __future__ import annotations

from pathlib import Path

from controld.loops.registry import RegistryLoop
from controld.store.engine import Database
from kit.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.registry import add_services, open_world


async def test_garbage_is_collected_when_the_last_time_is_long_enough_ago(database: Database, tmp_path: Path) -> None:
    clock = FakeClock(SystemClock().now())
    await add_services(database)
    async with open_world(database, tmp_path / "blobs", clock=clock) as world:
        loop = RegistryLoop(world.upkeep, clock=clock, sweep_seconds=600, collect_seconds=86_400)
        await loop.pass_once()
        first = await world.upkeep.last_collected_at()
        assert first == clock.now()
        clock.jump(3600)
        await loop.pass_once()
        assert await world.upkeep.last_collected_at() == first
        clock.jump(86_400)
        await loop.pass_once()
        assert await world.upkeep.last_collected_at() == clock.now()
