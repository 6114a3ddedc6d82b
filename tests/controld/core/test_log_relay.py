"""Viewers of one node share its stream, whatever they do to each other."""

from __future__ import annotations

from controld.model.observed import LogNotice
from tests.controld.core.log_fleet import Fleet


async def test_whoever_watches_one_node_shares_one_stream_of_it_without_gap_or_repeat() -> None:
    fleet = Fleet(1, as_events=True)
    written = [fleet.write(0) for _ in range(5)]
    viewers = [fleet.watch(tail=2) for _ in range(10)]
    await fleet.settle()
    for _ in range(20):
        written.append(fleet.write(0))
        viewers.append(fleet.watch(tail=2))
        await fleet.clock.advance(0.0)
    await fleet.settle()
    written.append(fleet.write(0))
    await fleet.settle()
    shared = (fleet.log(0).readers, [viewer.texts == written[-len(viewer.texts) :] for viewer in viewers])
    begun = [len(viewer.texts) for viewer in viewers[10:]]
    for viewer in viewers:
        await viewer.drop()

    assert shared == (1, [True] * 30)
    assert begun == sorted(begun, reverse=True)
    assert begun[-1] >= 3
    assert (fleet.log(0).readers, fleet.relays and fleet.relays.streams) == (0, 0)
    await fleet.tasks.close()


async def test_viewers_of_an_empty_log_share_the_stream_too() -> None:
    fleet = Fleet(1, as_events=True)
    viewers = [fleet.watch() for _ in range(5)]
    await fleet.settle()
    shared = fleet.log(0).readers
    written = [fleet.write(0)]
    await fleet.settle()

    assert shared == 1
    assert [viewer.texts for viewer in viewers] == [written] * 5
    await fleet.tasks.close()


async def test_a_stalled_viewer_is_told_what_it_misses_and_slows_nobody() -> None:
    fleet = Fleet(1, as_events=True, viewer_bytes=2000)
    stalled, other = fleet.watch(), fleet.watch()
    await fleet.settle()
    stalled.open.clear()
    written = []
    for _ in range(20):
        written += [fleet.write(0, f"{fleet.written:040}") for _ in range(5)]
        await fleet.settle()
    prompt = list(other.texts)
    stalled.open.set()
    await fleet.settle()
    written.append(fleet.write(0))
    await fleet.settle()
    missing = [news for news in stalled.news if isinstance(news, LogNotice)]
    await fleet.tasks.close()

    assert prompt == written[:-1]
    assert len(missing) == 1
    assert len(stalled.texts) + int(missing[0].text.split()[0]) == len(written)
    assert stalled.texts[-1] == written[-1]
    assert missing[0].text.endswith(" lines dropped")
    assert missing[0].id == stalled.news[stalled.news.index(missing[0]) - 1].id


async def test_a_viewer_that_is_told_of_missing_lines_can_come_back_for_them() -> None:
    fleet = Fleet(1, as_events=True, viewer_bytes=2000)
    stalled = fleet.watch()
    await fleet.settle()
    written = [fleet.write(0)]
    await fleet.settle()
    stalled.open.clear()
    for _ in range(100):
        written.append(fleet.write(0, f"{fleet.written:040}"))
        await fleet.clock.advance(0.0)
    stalled.open.set()
    await fleet.settle()
    missing = next(number for number, news in enumerate(stalled.news) if isinstance(news, LogNotice))
    again = fleet.watch(after=stalled.news[missing].id)
    await fleet.settle()

    assert stalled.texts[:missing] + again.texts == written
    await fleet.tasks.close()
