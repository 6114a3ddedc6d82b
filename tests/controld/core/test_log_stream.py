"""A live log over several nodes: merged, resumed and honest about what is missing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controld.model.change import Change
from controld.model.observed import LogNews, LogNotice, LogText, NoticeKind
from controld.rules.log_cursor import node_key, parse_cursor
from tests.controld.core.log_fleet import Fleet, Viewer


@pytest.fixture(params=[False, True], ids=["records", "events"])
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    made = Fleet(2, as_events=request.param)
    yield made
    await made.tasks.close()


async def test_the_backlog_of_all_nodes_is_merged_by_time_and_live_lines_follow(fleet: Fleet) -> None:
    written = [fleet.write(n % 2) for n in range(9)]
    viewer = fleet.watch(tail=4)
    await fleet.settle()
    later = [fleet.write(1), fleet.write(0)]
    await fleet.settle()

    assert viewer.texts == [*written[-4:], *later]
    assert viewer.notices == []


async def test_any_event_can_be_resumed_from(fleet: Fleet) -> None:
    written = [fleet.write(n % 3 % 2) for n in range(12)]
    viewer = fleet.watch(tail=8)
    await fleet.settle()
    for number, news in enumerate(viewer.news):
        again = fleet.watch(after=news.id)
        await fleet.settle()
        assert again.texts == written[4 + number + 1 :]
        await again.drop()


async def test_a_node_that_does_not_answer_is_told_of_and_its_lines_follow_when_it_does(fleet: Fleet) -> None:
    fleet.agents.offline.add(fleet.nodes[1].id)
    fleet.write(0)
    lost = fleet.write(1)
    viewer = fleet.watch()
    await fleet.settle()
    before = (list(viewer.texts), list(viewer.notices))
    fleet.agents.offline.clear()
    await fleet.settle()

    assert before == (["0:0"], [NoticeKind.UNREACHABLE])
    assert viewer.texts == ["0:0", lost]
    assert viewer.notices == [NoticeKind.UNREACHABLE, NoticeKind.REACHABLE]
    assert "vm1" in viewer.news[1].text


async def test_an_agent_that_restarts_costs_nothing_and_is_not_told_of(fleet: Fleet) -> None:
    viewer = fleet.watch()
    await fleet.settle()
    expected = [fleet.write(0)]
    await fleet.settle()
    fleet.log(0).cut()
    expected.append(fleet.write(0))
    await fleet.settle()

    assert viewer.texts == expected
    assert viewer.notices == []


async def test_lines_that_an_agent_dropped_are_told(fleet: Fleet) -> None:
    viewer = fleet.watch()
    await fleet.settle()
    fleet.write(0)
    await fleet.settle()
    fleet.log(0).drop(17)
    await fleet.settle()

    assert isinstance(viewer.news[1], LogNotice)
    assert (viewer.news[1].kind, viewer.news[1].text) == (NoticeKind.DROPPED, "17 lines dropped")
    assert viewer.news[1].id == viewer.news[0].id


async def test_a_node_that_gets_a_replica_joins_and_one_without_leaves(fleet: Fleet) -> None:
    fleet.places.nodes = fleet.nodes[:1]
    fleet.write(1, "from before it joined")
    viewer = fleet.watch()
    await fleet.settle()
    fleet.places.nodes = fleet.nodes[1:]
    await _announce(fleet)
    fleet.write(0, "after it left")
    fleet.write(1, "joined")
    await fleet.settle()

    assert viewer.texts == ["from before it joined", "joined"]
    assert [fleet.log(0).readers, fleet.log(1).readers] == [0, 1]
    assert list(parse_cursor(viewer.news[-1].id)) == [node_key(fleet.nodes[1].id)]


async def test_a_node_that_the_service_left_is_read_once_and_followed_when_the_service_comes_back(fleet: Fleet) -> None:
    fleet.places.left = fleet.nodes[1:]
    written = [fleet.write(number) for number in (1, 0, 1)]
    viewer = fleet.watch()
    await fleet.settle()
    before = [fleet.log(0).readers, fleet.log(1).readers]
    fleet.places.left = []
    await _announce(fleet)
    written += [fleet.write(number) for number in (1, 0)]
    await fleet.settle()
    fleet.places.left = fleet.nodes[:1]
    await _announce(fleet)
    written += [fleet.write(number) for number in (0, 1)]
    await fleet.settle()

    assert viewer.texts == written
    assert before == [1, 0]
    assert [fleet.log(0).readers, fleet.log(1).readers] == [1, 1]


async def test_every_read_ends_with_its_viewer(fleet: Fleet) -> None:
    viewers = [fleet.watch() for _ in range(5)]
    await fleet.settle()
    open_reads = fleet.log(0).readers
    for viewer in viewers:
        await viewer.drop()

    assert open_reads == 5
    assert [fleet.log(0).readers, fleet.log(1).readers] == [0, 0]


STEP = st.sampled_from(["write", "write", "burst", "cut", "offline", "online", "drop", "viewer", "node"])


@pytest.mark.parametrize(("nodes", "as_events"), [(3, False), (3, True), (1, True)])
@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=30), st.integers(0, 2**32))
def test_whatever_breaks_a_viewer_who_resumes_sees_each_line_once_and_in_order(
    nodes: int, as_events: bool, steps: list[str], seed: int
) -> None:
    asyncio.run(_watch_through(Fleet(3, as_events=as_events), nodes, steps, random.Random(seed)))


async def _watch_through(fleet: Fleet, nodes: int, steps: list[str], choose: random.Random) -> None:
    fleet.places.nodes = fleet.nodes[:nodes]
    seen: list[LogNews] = []
    viewer = fleet.watch()
    others: list[Viewer] = []

    async def resume() -> None:
        nonlocal viewer
        await viewer.drop()
        seen.extend(viewer.news)
        last = next((news.id for news in reversed(seen) if news.id), None)
        viewer = fleet.watch(after=last)

    for step in steps:
        number = choose.randrange(len(fleet.places.nodes))
        match step:
            case "write":
                fleet.write(number)
            case "burst":
                for _ in range(choose.randrange(30)):
                    fleet.write(choose.randrange(len(fleet.places.nodes)))
            case "cut":
                fleet.log(number).cut()
            case "offline":
                fleet.agents.offline.add(fleet.nodes[number].id)
                fleet.log(number).cut()
            case "online":
                fleet.agents.offline.clear()
            case "viewer":
                others.append(fleet.watch())
            case "node" if len(fleet.places.nodes) < 3:
                fleet.places.nodes = fleet.nodes[: len(fleet.places.nodes) + 1]
                fleet.feed.publish([Change("node", fleet.nodes[1].id)])
            case _:
                await resume()
        if choose.random() < 0.6:
            await fleet.clock.advance(choose.choice([0.0, 0.3, 6.0]))
    fleet.agents.offline.clear()
    for _ in range(3):
        await fleet.settle()
    await resume()
    for _ in range(3):
        await fleet.settle()
    for each in (viewer, *others):
        await each.drop()
    seen.extend(viewer.news)
    await fleet.tasks.close()

    for number in range(3):
        written = [line.text for line in fleet.log(number).records]
        for news in (seen, *(other.news for other in others)):
            texts = [each.text for each in news if isinstance(each, LogText) and each.text.startswith(f"{number}:")]
            # A viewer that came in the middle has the end of it, and no more than the beginning less.
            assert texts == (written if news is seen else written[len(written) - len(texts) :])
        assert fleet.log(number).readers == 0


async def _announce(fleet: Fleet) -> None:
    fleet.feed.publish([Change("node", fleet.nodes[1].id)])
    await fleet.settle()
