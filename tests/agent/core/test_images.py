"""Images of ours are counted truly, and go when nothing has needed them for long enough; nobody else's ever does."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from agent.core.images import Images
from agent.model.engine import Image
from agent.model.images import Holdings
from tests.agent.core.node import Node
from tests.agent.rules.world import NODE, PORT, make_replica, make_spec
from tests.fakes.holdings import FakeHoldings
from wire.agent.images import ImageCache, KeptImage
from wire.spec import NodeSpec, Origin

_HOSTED = f"127.0.0.1:{PORT}/shop/web"


class _World:
    """A node's engine and the images in it."""

    def __init__(self) -> None:
        self.node = Node()
        self.engine = self.node.engine
        self.file = FakeHoldings()
        self.spec: NodeSpec | None = make_spec()
        self.in_work: set[str] = set()
        self.images = self.make()

    def make(self) -> Images:
        """The account of the images, as after a start of the agent."""
        made = Images(self.engine, self.file, clock=self.node.clock, node_id=NODE, registry_port=PORT)
        made.attach(spec=lambda: self.spec, in_work=lambda: self.in_work)
        return made

    async def build(self, number: int) -> str:
        """An image that was built here; its tag."""
        tag = f"{_HOSTED}:deployment-{number}"
        async for _ in self.engine.build_image(
            Path("/nowhere"), dockerfile="Dockerfile", tag=tag, labels={}, cpu_millis=100, memory_bytes=1
        ):
            pass
        return tag

    async def pull(self, reference: str, *, number: int = 1) -> str:
        """An image that was pulled for us; its name by digest."""
        digest = f"{reference.rpartition(':')[0]}@sha256:{number:064}"
        self.engine.registry[reference] = Image(id=f"sha256:{number:064x}", digests=(digest,), size_bytes=500)
        await self.images.note(reference)
        await self.engine.pull_image(reference, login=None, timeout_seconds=1)
        return digest


@pytest.fixture
def world() -> _World:
    return _World()


async def test_what_was_built_and_pulled_is_counted_and_what_is_a_persons_is_not(world: _World) -> None:
    assert await world.images.read_cache() == ImageCache(entries=0, total_bytes=0)
    world.engine.add_image("nginx:1")
    await world.images.note("docker.io/library/nginx:1")
    begun = world.node.clock.now()
    await world.pull("ghcr.io/team/app:1")
    await world.node.clock.advance(60)
    await world.build(1)
    assert await world.images.read_cache() == ImageCache(entries=2, total_bytes=1_000_500, oldest_at=begun)


async def test_an_unused_image_goes_after_its_time_and_a_used_one_stays(world: _World) -> None:
    used = await world.pull("ghcr.io/team/app:1", number=1)
    await world.pull("ghcr.io/team/old:1", number=2)
    world.engine.add_image("nginx:1")
    world.spec = make_spec(make_replica("r1", image=used, origin=Origin.EXTERNAL))
    sweep, cache = await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    assert (sweep.deleted, sweep.kept_in_use, sweep.kept_recent) == (0, 1, 1)
    await world.node.clock.advance(600)
    sweep, cache = await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    assert (sweep.scanned, sweep.deleted, sweep.deleted_bytes, sweep.kept_in_use) == (2, 1, 500, 1)
    assert cache.entries == 1
    assert set(world.engine.images) == {"ghcr.io/team/app:1", "nginx:1"}


async def test_the_time_without_use_outlives_the_agent_and_ends_with_a_use(world: _World) -> None:
    digest = await world.pull("ghcr.io/team/app:1")
    await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    await world.node.clock.advance(400)
    world.images = world.make()
    world.spec = make_spec(make_replica("r1", image=digest, origin=Origin.EXTERNAL))
    await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    world.spec = make_spec()
    await world.node.clock.advance(400)
    await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    assert set(world.engine.images) == {"ghcr.io/team/app:1"}
    await world.node.clock.advance(300)
    world.images = world.make()
    await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    await world.node.clock.advance(300)
    await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    assert world.engine.images == {}


async def test_what_a_kept_artifact_is_made_of_stays(world: _World) -> None:
    built = await world.build(1)
    pulled = await world.pull("ghcr.io/team/app:1")
    name = built.removeprefix(f"127.0.0.1:{PORT}/")
    kept = (KeptImage(image=name, origin=Origin.HOSTED), KeptImage(image=pulled, origin=Origin.EXTERNAL))
    sweep, _ = await world.images.sweep(kept=kept, newest=0, idle_seconds=0)
    assert (sweep.deleted, sweep.kept_in_use) == (0, 2)
    sweep, _ = await world.images.sweep(kept=kept[:1], newest=0, idle_seconds=0)
    assert (sweep.deleted, sweep.kept_in_use) == (1, 1)


async def test_what_work_goes_on_with_stays(world: _World) -> None:
    world.in_work = {await world.build(1)}
    sweep, _ = await world.images.sweep(kept=(), newest=0, idle_seconds=0)
    assert (sweep.deleted, sweep.kept_in_use) == (0, 1)


async def test_nothing_goes_before_the_node_knows_what_it_should_run(world: _World) -> None:
    await world.build(1)
    world.spec = None
    sweep, cache = await world.images.sweep(kept=(), newest=0, idle_seconds=0)
    assert (sweep.scanned, sweep.deleted, cache.entries) == (1, 0, 1)


async def test_a_name_that_a_person_had_first_is_never_taken(world: _World) -> None:
    world.engine.add_image("nginx:1")
    await world.images.note("nginx:1")
    assert world.file.holdings == Holdings()
    sweep, _ = await world.images.sweep(kept=(), newest=0, idle_seconds=0)
    assert sweep.scanned == 0
    assert set(world.engine.images) == {"nginx:1"}


async def test_a_pull_that_never_came_is_forgotten_after_a_while(world: _World) -> None:
    await world.images.note("ghcr.io/team/app:1")
    await world.images.read_cache()
    assert set(world.file.holdings.brought) == {"ghcr.io/team/app:1"}
    await world.node.clock.advance(dt.timedelta(hours=2).total_seconds())
    await world.images.read_cache()
    assert world.file.holdings.brought == {}


async def test_nothing_is_written_while_nothing_changes(world: _World) -> None:
    await world.pull("ghcr.io/team/app:1")
    await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    writes = world.file.writes
    for _ in range(3):
        await world.node.clock.advance(60)
        await world.images.sweep(kept=(), newest=0, idle_seconds=600)
    assert world.file.writes == writes
