"""Logs of which only some lines are asked for: by moment, replica and text, and resumed all the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import Invalid
from tests.agent.core.log_world import SERVICE, STEPS, Trial, World
from wire.agent.logs import LinesDropped, LogLine, LogPlace, LogQuery


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.tasks.close()


async def test_only_lines_that_are_asked_for_are_told_and_tail_counts_them(world: World) -> None:
    first, second = await world.run("r-1"), await world.run("r-2", index=1)
    for number in range(40):
        await world.write(second if number % 2 else first, f"{'ERROR' if number % 3 == 0 else 'info'} {number}")

    async def numbers(**query: object) -> list[int]:
        return [int(line.text.split()[1]) for line in await world.read(**query)]

    errors = list(range(0, 40, 3))
    assert await numbers(grep="ERROR") == errors
    assert await numbers(grep="error") == []
    assert await numbers(grep="error", ignore_case=True, tail=4) == errors[-4:]
    assert await numbers(grep_regex="ERROR (9|1[0-9])$") == [9, 12, 15, 18]
    assert await numbers(replica_ids=("r-2",), tail=3) == [35, 37, 39]
    assert await numbers(replica_indices=(1,), grep="ERROR", tail=2) == [33, 39]
    assert await numbers(replica_indices=(7,)) == []
    lines = await world.read(tail=40)
    since, until = lines[10].at, lines[20].at
    assert await numbers(since=since, until=until) == list(range(10, 20))
    assert await numbers(until=until, tail=2) == [18, 19]
    assert await numbers(since=since, until=until, grep="ERROR", tail=1) == [18]
    assert {line.replica_index for line in lines} == {0, 1}


@pytest.mark.parametrize("query", [{"grep": "ERROR"}, {"replica_ids": ("r-1",)}, {"grep": "ERROR", "tail": 3}])
async def test_a_narrowed_stream_goes_on_live_and_any_line_can_be_resumed_from(
    world: World, query: dict[str, object]
) -> None:
    containers = [await world.run("r-1"), await world.run("r-2", index=1)]

    async def write(numbers: range) -> None:
        for number in numbers:
            await world.write(containers[number % 2], f"{'ERROR' if number % 4 < 2 else 'info'} {number}")

    await write(range(20))
    viewer = world.watch(**query)
    await world.settle()
    await write(range(20, 40))
    await world.settle()
    expected = [line.text for line in await world.read(**{**query, "tail": 1000})]
    begun = viewer.texts

    assert begun == expected[-len(begun) :]
    assert len(begun) >= 13
    lines = [record for record in viewer.records if isinstance(record, LogLine)]
    for number, line in enumerate(lines):
        again = await world.read(**{**query, "tail": None}, after=line.id)
        assert [each.text for each in again] == begun[number + 1 :]


async def test_a_new_replica_of_the_index_joins_a_narrowed_stream(world: World) -> None:
    other, first = await world.run("r-1"), await world.run("r-2", index=1)
    viewer = world.watch(replica_indices=(1,))
    await world.settle()
    await world.write(other, "other")
    await world.write(first, "first")
    second = await world.run("r-3", index=1)
    await world.write(second, "second")
    await world.settle()

    assert viewer.texts == ["first", "second"]


async def test_whoever_asks_for_few_lines_of_many_hears_how_far_they_were_read(world: World) -> None:
    container = await world.run("r-1")
    viewer = world.watch(grep="never")
    await world.settle()
    for number in range(3):
        await world.write(container, str(number))
        await world.clock.advance(2.0)
    await world.settle()
    places = [record for record in viewer.records if isinstance(record, LogPlace)]
    await world.write(container, "behind")

    assert len(places) == 3
    assert [line.text for line in await world.read(after=places[1].id)] == ["2", "behind"]


@pytest.mark.parametrize("query", [{"grep": "ERROR"}, {"replica_ids": ("r-1",), "grep": "ERROR"}])
async def test_a_stalled_viewer_is_told_how_many_of_the_lines_that_it_asked_for_it_misses(
    query: dict[str, object],
) -> None:
    world = World(viewer_bytes=20_000)
    containers = [await world.run("r-1"), await world.run("r-2", index=1)]
    stalled, idle = world.watch(**query), world.watch(grep="last")
    await world.settle()
    await world.write(containers[0], "ERROR first")
    await world.settle()
    for viewer in (stalled, idle):
        viewer.open.clear()
    for number in range(200):
        await world.write(containers[number % 2], f"{'ERROR' if number % 4 < 2 else 'info'} {number:0200}")
        await world.settle()
    for viewer in (stalled, idle):
        viewer.open.set()
    await world.settle()
    await world.write(containers[0], "ERROR last")
    await world.settle()
    dropped = [record.count for record in stalled.records if isinstance(record, LinesDropped)]
    await world.tasks.close()

    asked = [number for number in range(200) if number % 4 == 0 or ("replica_ids" not in query and number % 4 == 1)]
    assert len(dropped) == 1
    assert len(stalled.texts) + dropped[0] == len(asked) + 2
    assert stalled.texts[-1] == "ERROR last"
    assert idle.texts == ["ERROR last"]
    assert [record for record in idle.records if isinstance(record, LinesDropped)] == []


async def test_an_expression_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(Invalid):
        world.logs.check(LogQuery(service_id=SERVICE, grep_regex="("))


STEP = st.sampled_from([*STEPS, "write", "drop"])
NARROWED = st.sampled_from(
    [{"grep": "!"}, {"grep_regex": "[!]$"}, {"replica_ids": ("r-0",)}, {"replica_indices": (1,), "grep": "!"}]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=25), NARROWED, st.integers(0, 2**32))
def test_whatever_breaks_a_narrowed_stream_that_is_resumed_tells_each_line_once_and_in_order(
    steps: list[str], query: dict[str, object], seed: int
) -> None:
    asyncio.run(_watch_through(steps, query, random.Random(seed)))


async def _watch_through(steps: list[str], query: dict[str, object], choose: random.Random) -> None:
    world = World()
    containers = [await world.run(f"r-{n}", index=n) for n in range(3)]
    written: list[list[str]] = [[], [], []]

    async def write(back_usec: int) -> None:
        number = choose.randrange(3)
        text = f"{number}:{len(written[number])}{choose.choice(['!', '', ''])}"
        written[number].append(text)
        await world.write(containers[number], text, back_usec=back_usec)

    trial = Trial(world, choose, write, **query)
    for step in steps:
        await trial.act(step)
    told = await trial.end()

    ids, indices = query.get("replica_ids"), query.get("replica_indices")
    for number, lines in enumerate(written):
        asked = (ids is None and indices is None) or ids == (f"r-{number}",) or indices == (number,)
        wanted = [text for text in lines if asked and ("!" in text or "grep" not in str(query))]
        assert [text for text in told if text.startswith(f"{number}:")] == wanted
    await world.settle()
    assert world.engine.following == 0
    await world.tasks.close()
