"""What is watched of the replicas' logs, whatever breaks."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.faults import BadCursor
from kit.http.sse import frame
from tests.agent.core.log_world import SERVICE, STEPS, Trial, Viewer, World
from wire.agent.logs import LinesDropped, LogLine, LogQuery


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.tasks.close()


async def test_the_last_lines_are_told_oldest_first_and_merged_by_time(world: World) -> None:
    first, second = await world.run("r-1"), await world.run("r-2")
    for number in range(6):
        await world.write(first if number % 2 else second, str(number))

    assert [line.text for line in await world.read(tail=3)] == ["3", "4", "5"]
    assert [line.text for line in await world.read()] == ["0", "1", "2", "3", "4", "5"]
    assert [line.replica_id for line in await world.read(tail=2)] == ["r-2", "r-1"]
    assert await world.read(tail=0) == []


async def test_since_gives_every_line_from_that_moment_on_and_tail_the_last_of_them(world: World) -> None:
    container = await world.run("r-1")
    for number in range(300):
        await world.write(container, str(number))
    since = (await world.read(tail=250))[0].at

    assert [line.text for line in await world.read(since=since)] == [str(n) for n in range(50, 300)]
    assert [line.text for line in await world.read(since=since, tail=2)] == ["298", "299"]
    assert await world.read(since=world.clock.now() + dt.timedelta(days=1), tail=5) == []


async def test_any_line_can_be_resumed_from_whatever_the_stamps(world: World) -> None:
    first, second = await world.run("r-1"), await world.run("r-2")
    for number in range(12):
        await world.write(second if number % 3 == 0 else first, str(number), back_usec=(0, 1, 0, 300)[number % 4])
    lines = await world.read(tail=8)
    for number, line in enumerate(lines):
        behind = await world.read(after=line.id)
        assert [each.text for each in behind] == [each.text for each in lines[number + 1 :]]


async def test_a_cursor_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(BadCursor):
        world.logs.check(LogQuery(service_id=SERVICE, after="nonsense"))


async def test_a_service_without_containers_has_an_empty_log(world: World) -> None:
    await world.run("r-9", service="other")

    assert await world.read() == []


async def test_however_many_watch_a_container_it_has_one_follower_and_none_after_the_last(world: World) -> None:
    containers = [await world.run("r-1"), await world.run("r-2")]
    viewers = [world.watch() for _ in range(20)]
    await world.settle()
    for number in range(50):
        await world.write(containers[number % 2], str(number))
    await world.settle()
    watched = (world.engine.following, world.logs.followers, world.logs.viewers)
    for viewer in viewers:
        await viewer.drop()
    await world.settle()

    assert watched == (2, 2, 20)
    assert world.engine.most == 2
    assert all(viewer.texts == [str(n) for n in range(50)] for viewer in viewers)
    assert (world.engine.following, world.logs.followers, world.logs.viewers) == (0, 0, 0)


async def test_a_viewer_gets_the_backlog_and_then_the_live_lines_without_gap_or_repeat(world: World) -> None:
    container = await world.run("r-1")
    for number in range(10):
        await world.write(container, str(number))
    early = world.watch(tail=3)
    await world.settle()
    await world.write(container, "10")
    late = world.watch(tail=2)
    await world.write(container, "11")
    await world.settle()
    await world.write(container, "12")
    await world.settle()

    assert early.texts == ["7", "8", "9", "10", "11", "12"]
    assert late.texts[-2:] == ["11", "12"]
    assert late.texts == [str(n) for n in range(13 - len(late.texts), 13)]


async def test_lines_written_while_a_viewer_joins_reach_it_once(world: World) -> None:
    container = await world.run("r-1")
    numbers = itertools.count()

    async def meddle() -> None:
        await world.write(container, str(next(numbers)))

    world.engine.meddle = meddle
    viewers = [world.watch() for _ in range(3)]
    await world.settle()
    world.engine.meddle = None
    await world.settle()

    written = [str(n) for n in range(next(numbers))]
    assert [viewer.texts for viewer in viewers] == [written] * 3


async def test_a_new_replica_joins_a_running_stream_from_its_first_line(world: World) -> None:
    first = await world.run("r-1")
    viewer = world.watch()
    await world.settle()
    await world.write(first, "old")
    second = await world.run("r-2")
    await world.write(second, "new")
    await world.settle()

    assert viewer.texts == ["old", "new"]
    assert world.logs.followers == 2


async def test_a_container_that_ends_ends_only_its_follower_and_is_followed_again_when_it_restarts(
    world: World,
) -> None:
    first, second = await world.run("r-1"), await world.run("r-2")
    viewer = world.watch()
    await world.settle()
    await world.write(first, "1")
    await world.engine.exit_container(first, 1)
    await world.settle()
    followed = world.logs.followers
    await world.write(second, "2")
    await world.engine.restart_container(first)
    await world.write(first, "3")
    await world.settle()

    assert followed == 1
    assert viewer.texts == ["1", "2", "3"]
    assert world.logs.followers == 2


async def test_a_removed_container_leaves_the_cursor(world: World) -> None:
    first, second = await world.run("r-1"), await world.run("r-2")
    viewer = world.watch()
    await world.settle()
    await world.write(first, "1")
    await world.settle()
    await world.engine.remove_container(first)
    await world.settle()
    await world.write(second, "2")
    await world.settle()

    assert viewer.texts == ["1", "2"]
    assert first[:8] not in (viewer.last_id or "")
    assert world.logs.followers == 1


async def test_a_follower_survives_an_engine_that_goes_away(world: World) -> None:
    container = await world.run("r-1")
    viewer = world.watch()
    await world.settle()
    await world.write(container, "1")
    await world.engine.set_down(True)
    await world.settle()
    await world.engine.set_down(False)
    await world.write(container, "2")
    for _ in range(5):
        await world.settle()

    assert viewer.texts == ["1", "2"]


async def test_a_stalled_viewer_is_told_what_it_misses_and_slows_nobody() -> None:
    world = World(viewer_bytes=20_000)
    container = await world.run("r-1")
    stalled, other = world.watch(), world.watch()
    await world.settle()
    await world.write(container, "first")
    await world.settle()
    stalled.open.clear()
    for number in range(200):
        await world.write(container, f"{number:0200}")
        await world.settle()
    seen = len(other.texts)
    stalled.open.set()
    await world.settle()
    await world.write(container, "last")
    await world.settle()
    dropped = [record.count for record in stalled.records if isinstance(record, LinesDropped)]
    await world.tasks.close()

    assert seen == 201
    assert len(dropped) == 1
    assert len(stalled.texts) + dropped[0] == 202
    assert stalled.texts[-1] == "last"
    assert len(other.texts) == 202


async def test_lines_and_what_is_missing_are_told_as_events_too_under_the_ids_of_the_records() -> None:
    world = World(viewer_bytes=20_000)
    container = await world.run("r-1")
    await world.write(container, "backlog")
    batches = world.logs.read(LogQuery(service_id=SERVICE, follow=True))
    first = await anext(batches)
    waiting = world.tasks.start("next", anext(batches))
    await world.settle()
    await world.write(container, "live\rline")
    await world.settle()
    live = await waiting
    for _ in range(200):
        await world.write(container, "x" * 200)
        await world.settle()
    last, missing = live, await anext(batches)
    while not missing.dropped:
        last, missing = missing, await anext(batches)
    await batches.aclose()
    await world.tasks.close()

    ids = [record.id for record in (*first.records, *live.records) if isinstance(record, LogLine)]
    assert first.frame("n:") == frame("backlog", id=f"n:{ids[0]}")
    assert live.frame("n:") == frame("live\rline", id=f"n:{ids[1]}")
    assert missing.frame("n:") == frame(f"{missing.dropped} lines dropped", id=f"n:{last.last_id}", event="dropped")


async def test_whoever_wants_events_alone_gets_those_of_the_records() -> None:
    world = World()
    container = await world.run("r-1")
    kept: dict[str | None, list[bytes]] = {None: [], "n:": []}

    async def read(frames: str | None) -> None:
        async for batch in world.logs.read(LogQuery(service_id=SERVICE, follow=True, frames=frames)):
            kept[frames].append(batch.frame("n:"))

    for frames in kept:
        world.tasks.start("viewer", read(frames))
    for number in range(30):
        await world.write(container, f"{number}\r")
        await world.settle()
    await world.tasks.close()

    assert b"".join(kept[None]) == b"".join(kept["n:"])
    assert b"".join(kept["n:"]).count(b"\n\n") == 30


STEP = st.sampled_from([*STEPS, "write", "write", "exit", "start", "stall", "second viewer"])


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=25), st.integers(0, 2**32))
def test_whatever_breaks_a_viewer_who_resumes_sees_each_line_once_and_in_order(steps: list[str], seed: int) -> None:
    asyncio.run(_watch_through(steps, random.Random(seed)))


async def _watch_through(steps: list[str], choose: random.Random) -> None:
    world = World()
    containers = [await world.run("r-0"), await world.run("r-1")]
    stopped: set[str] = set()
    written: dict[str, list[str]] = {each: [] for each in containers}
    others: list[Viewer] = []

    async def write(back_usec: int) -> None:
        alive = [each for each in containers if each not in stopped]
        if alive:
            container = choose.choice(alive)
            text = f"{containers.index(container)}:{len(written[container])}"
            written[container].append(text)
            await world.write(container, text, back_usec=back_usec)

    async def meddle() -> None:
        for _ in range(choose.choice([0, 0, 1, 3])):
            await write(choose.choice([0, 0, 1]))

    async def start() -> None:
        if stopped and choose.random() < 0.7:
            back = min(stopped)
            stopped.discard(back)
            await world.engine.restart_container(back)
        elif len(containers) < 5:
            made = await world.run(f"r-{len(containers)}")
            containers.append(made)
            written[made] = []

    trial = Trial(world, choose, write)

    async def act(step: str) -> None:
        match step:
            case "exit":
                if alive := [each for each in containers if each not in stopped]:
                    stopped.add(alive[0])
                    await world.engine.exit_container(alive[0], 1)
            case "start":
                await start()
            case "stall":
                trial.viewer.open.clear() if trial.viewer.open.is_set() else trial.viewer.open.set()
            case "second viewer":
                others.append(world.watch())
            case _:
                await trial.act(step)

    world.engine.meddle = meddle
    for step in steps:
        await act(step)
        if choose.random() < 0.6:
            await world.settle()
    world.engine.meddle = None
    trial.viewer.open.set()
    told = await trial.end()
    for other in others:
        await other.drop()
    await world.settle()

    for container, lines in written.items():
        prefix = f"{containers.index(container)}:"
        assert [text for text in told if text.startswith(prefix)] == lines
    assert world.engine.following == 0
    await world.tasks.close()
