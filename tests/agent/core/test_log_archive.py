"""Logs outlive their containers: what is archived when, for how long, and that it reads as one log with what runs."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.faults import ArchiveNotWritten
from agent.core.log_archive import SETTLE_SECONDS
from agent.loops.log_sweeper import LogSweeper
from tests.agent.core.log_world import SERVICE, Viewer, World
from tests.fakes.log_archive import LINE_BYTES
from wire.agent.logs import LogLine, LogQuery


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.tasks.close()


async def test_the_log_of_a_removed_container_is_read_together_with_those_that_run(world: World) -> None:
    first, second = await world.run("r-1"), await world.run("r-2")
    for number in range(6):
        await world.write(first if number % 2 else second, str(number))
    await world.remove(first)
    await world.write(second, "6")
    since = (await world.read(tail=5))[0].at

    assert not world.engine.exists(first)
    assert [line.text for line in await world.read()] == ["0", "1", "2", "3", "4", "5", "6"]
    assert [(line.text, line.replica_id) for line in await world.read(tail=2)] == [("5", "r-1"), ("6", "r-2")]
    assert [line.text for line in await world.read(since=since)] == ["2", "3", "4", "5", "6"]
    assert [line.text for line in await world.read(since=since, tail=3)] == ["4", "5", "6"]


async def test_any_line_is_resumed_from_after_its_container_was_removed(world: World) -> None:
    containers = [await world.run(f"r-{number}") for number in range(3)]
    for number in range(60):
        await world.write(random.Random(number).choice(containers), str(number), back_usec=(0, 0, 7)[number % 3])
    lines = await world.read()
    await world.remove(containers[0])
    await world.write(containers[1], "later")
    await world.remove(containers[1])

    assert [line.text for line in await world.read()] == [*(line.text for line in lines), "later"]
    for number, line in enumerate(lines):
        behind = await world.read(after=line.id)
        assert [each.text for each in behind] == [*(each.text for each in lines[number + 1 :]), "later"]


async def test_a_stream_that_sees_its_container_replaced_loses_no_line(world: World) -> None:
    old = await world.run("r-1")
    viewer = world.watch()
    await world.settle()
    await world.write(old, "1")
    await world.settle()
    new = await world.run("r-2")
    await world.write(old, "2")
    await world.write(new, "3")
    # Everything from here on happens before any follower gets to read.
    await world.write(old, "last words")
    await world.remove(old)
    await world.write(new, "4")
    for _ in range(3):
        await world.settle()

    assert sorted(viewer.texts) == ["1", "2", "3", "4", "last words"]
    assert [text for text in viewer.texts if text in {"1", "2", "last words"}] == ["1", "2", "last words"]


async def test_a_container_that_came_and_went_unseen_is_told_to_those_who_watch(world: World) -> None:
    steady = await world.run("r-1")
    viewers = [world.watch(), world.watch()]
    await world.settle()
    await world.write(steady, "1")
    await world.settle()
    brief = await world.run("r-2")
    await world.write(brief, "brief")
    await world.remove(brief)
    for _ in range(3):
        await world.settle()
    await world.write(steady, "2")
    await world.settle()

    assert [viewer.texts for viewer in viewers] == [["1", "brief", "2"]] * 2


async def test_cursors_stay_short_however_many_logs_are_archived(world: World) -> None:
    viewer = world.watch()
    for number in range(30):
        container = await world.run(f"r-{number}")
        await world.write(container, f"{number}")
        await world.settle()
        await world.remove(container)
        await world.settle()
    steady = await world.run("steady")
    await world.clock.advance(SETTLE_SECONDS)
    for number in range(30, 33):
        await world.write(steady, str(number))
        await world.settle()
    whole = await world.read(since=dt.datetime(2000, 1, 1, tzinfo=dt.UTC))

    assert viewer.texts == [line.text for line in whole] == [str(number) for number in range(33)]
    assert viewer.last_id is not None
    assert viewer.last_id.count(".") == 0
    # A backlog is batched, and what a batch ends stays named to its end.
    assert (await world.read(after=viewer.last_id)) == []
    assert [line.text for line in await world.read(after=whole[20].id)] == [str(number) for number in range(21, 33)]


async def test_a_tail_opens_only_the_logs_that_it_needs(world: World) -> None:
    for number in range(20):
        container = await world.run(f"r-{number}")
        for nth in range(5):
            await world.write(container, f"{number}-{nth}")
        await world.remove(container)
    tail = await world.read(tail=7)

    assert [line.text for line in tail] == ["18-3", "18-4", *(f"19-{nth}" for nth in range(5))]
    assert world.archived.reads == 2
    for number, line in enumerate(tail):
        assert [each.text for each in await world.read(after=line.id)] == [each.text for each in tail[number + 1 :]]


async def test_a_long_backlog_has_few_logs_in_memory_at_one_time(world: World) -> None:
    for number in range(20):
        container = await world.run(f"r-{number}")
        for nth in range(50):
            await world.write(container, f"{number}-{nth}")
        await world.remove(container)
    opened: list[int] = []
    async with aclosing(world.logs.read(LogQuery(service_id=SERVICE, since=_BEGINNING))) as batches:
        async for batch in batches:
            opened += [world.archived.reads] * batch.count

    assert len(opened) == 1000
    assert opened[0] < 20
    assert world.archived.reads == 20


async def test_a_stream_from_now_on_tells_nothing_of_what_is_archived(world: World) -> None:
    for number in range(3):
        container = await world.run(f"old-{number}")
        await world.write(container, "old")
        await world.remove(container)
    viewer = world.watch(tail=0)
    await world.settle()
    new = await world.run("new")
    await world.write(new, "new")
    await world.settle()
    last_id = viewer.last_id
    await viewer.drop()
    await world.write(new, "newer")

    assert viewer.texts == ["new"]
    assert [line.text for line in await world.read(after=last_id)] == ["newer"]


async def test_a_container_without_output_leaves_no_log(world: World) -> None:
    container = await world.run("r-1")
    await world.remove(container)

    assert (world.archive.files, world.archive.size_bytes, world.archive.dropped) == (0, 0, 0)


async def test_a_container_that_somebody_else_removed_is_told_and_counted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = await world.run("r-1"), await world.run("r-2")
    for container in (ours, theirs):
        await world.write(container, "a")
    await world.remove(ours)
    await world.engine.remove_container(theirs)
    await world.settle()

    assert (world.archive.files, world.archive.dropped) == (1, 1)
    assert "log of a removed container is lost" in caplog.text
    assert [line.text for line in await world.read()] == ["a"]


async def test_a_container_that_goes_before_it_is_archived_is_no_error(world: World) -> None:
    container = await world.run("r-1")
    await world.write(container, "a")
    await world.engine.remove_container(container)
    await world.archive.keep(container)

    assert world.archive.files == 0


async def test_an_engine_that_is_away_or_silent_holds_no_removal_up_for_long(world: World) -> None:
    container = await world.run("r-1")
    await world.write(container, "a")
    await world.engine.set_down(True)
    await world.archive.keep(container)
    await world.engine.set_down(False)

    async def hang() -> None:
        await asyncio.Event().wait()

    world.engine.meddle = hang
    world.archive._keep_seconds = 0.05
    await world.archive.keep(container)

    assert (world.archive.files, world.archive.dropped) == (0, 2)


async def test_a_full_disk_costs_the_oldest_logs_and_never_the_removal(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.archived.room_bytes = 3 * LINE_BYTES
    for number in range(5):
        container = await world.run(f"r-{number}")
        await world.write(container, str(number))
        await world.remove(container)
    huge = await world.run("huge")
    kept = [line.text for line in await world.read()]
    for _ in range(5):
        await world.write(huge, "much")
    await world.remove(huge)

    assert kept == ["2", "3", "4"]
    assert not world.engine.exists(huge)
    assert world.archive.files == 0
    assert world.archive.dropped == 2 + 3 + 1
    assert "archived log given up for a newer one" in caplog.text


@pytest.mark.parametrize("error", [ArchiveNotWritten("cannot archive a log: the disk says no"), ZeroDivisionError()])
async def test_a_disk_that_refuses_or_a_bug_is_told_and_the_removal_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr(world.archived, "begin", refuse)
    container = await world.run("r-1")
    await world.write(container, "a")
    await world.remove(container)

    assert not world.engine.exists(container)
    assert world.archive.dropped == 1


async def test_the_oldest_logs_go_beyond_the_size_of_a_service_and_of_all() -> None:
    world = World(service_bytes=3 * LINE_BYTES, archive_bytes=5 * LINE_BYTES)
    for service in ("s-1", "s-2"):
        for number in range(4):
            container = await world.run(f"{service}-{number}", service=service)
            await world.write(container, str(number))
            await world.remove(container)
            await world.clock.advance(1)
    left = [(log.subject, log.first_usec) for log in world.archived.list_all()]
    await world.tasks.close()

    assert [subject for subject, _ in left] == ["s-1", "s-1", "s-2", "s-2", "s-2"]
    assert (world.archive.files, world.archive.size_bytes) == (5, 5 * LINE_BYTES)
    assert world.archive.dropped == 0


async def test_logs_go_when_they_are_old_though_nothing_is_removed(world: World) -> None:
    sweeper = world.tasks.start("sweeper", LogSweeper(world.archive, clock=world.clock).run())
    container = await world.run("r-1")
    await world.write(container, "a")
    await world.remove(container)
    await world.clock.advance(1800)
    before = world.archive.files
    await world.clock.advance(3600)
    await world.clock.advance(3600)
    sweeper.cancel()

    assert (before, world.archive.files) == (1, 0)
    assert await world.read() == []


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3), st.sampled_from([0, 0, 1, 300])),
        st.tuples(st.just("start"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("remove"), st.integers(0, 3), st.just(0)),
        st.tuples(st.sampled_from(["settle", "minute", "join", "cut", "restart agent"]), st.just(0), st.just(0)),
    ),
    max_size=60,
)
_BEGINNING = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def _lines(viewer: Viewer) -> list[LogLine]:
    return [record for record in viewer.records if isinstance(record, LogLine)]


@settings(max_examples=200, deadline=None)
@given(steps=_STEPS, watchers=st.integers(0, 2), is_hasty=st.booleans())
async def test_streams_tell_each_line_once_whatever_containers_come_and_go_and_wherever_they_are_cut(
    steps: list[tuple[str, int, int]], watchers: int, is_hasty: bool
) -> None:
    world = World()
    world.engine.hasty = is_hasty
    slots: dict[int, str] = {}
    written: dict[str, list[str]] = {}
    others = [world.watch() for _ in range(watchers)]
    viewer = world.watch()
    told: list[LogLine] = []

    async def cut(*, after_restart: bool) -> Viewer:
        await viewer.drop()
        told.extend(_lines(viewer))
        if after_restart:
            for other in others:
                await other.drop()
            others.clear()
            world.restart_agent()
        return world.watch(after=told[-1].id) if told else world.watch(since=_BEGINNING)

    count = 0
    for step, slot, back_usec in steps:
        match step:
            case "write" if slot in slots:
                await world.write(slots[slot], str(count), back_usec=back_usec)
                written[slots[slot]].append(str(count))
                count += 1
            case "start" if slot not in slots:
                slots[slot] = await world.run(f"r-{len(written)}")
                written[slots[slot]] = []
            case "remove" if slot in slots:
                await world.remove(slots.pop(slot))
            case "settle":
                await world.settle()
            case "minute":
                await world.clock.advance(SETTLE_SECONDS + 1)
            case "join":
                others.append(world.watch(since=_BEGINNING))
            case "cut" | "restart agent":
                viewer = await cut(after_restart=step == "restart agent")
            case _:
                pass
    for _ in range(4):
        await world.settle()
    await cut(after_restart=False)

    everything = sorted(str(number) for number in range(count))
    assert sorted(line.text for line in told) == everything
    for texts in written.values():
        assert [line.text for line in told if line.text in set(texts)] == texts
    for lines in map(_lines, others):
        assert sorted(line.text for line in lines) == everything
        for at in {0, len(lines) // 2, len(lines) - 1} if lines else ():
            behind = await world.read(after=lines[at].id)
            assert sorted(line.text for line in [*lines[: at + 1], *behind]) == everything
    await world.tasks.close()
