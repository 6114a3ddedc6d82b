"""Changes are told in this process, and between processes that share a PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from controld.model.change import EVERYTHING, Change
from controld.store.engine import Database
from controld.store.feed import Feed, Watch
from kit.clock import SystemClock


@asynccontextmanager
async def _controld(url: str, name: str) -> AsyncIterator[Database]:
    database = Database(url, feed=Feed(name), clock=SystemClock())
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def _announce(database: Database, kind: str, *ids: str) -> None:
    async with database.write() as tx:
        tx.announce(kind, *ids)


async def _until_live(feed: Feed, watch: Watch) -> None:
    while not feed.is_live:
        await watch.next()


async def test_two_controlds_on_one_database_hear_of_each_others_changes(postgres_url: str) -> None:
    async with _controld(postgres_url, "one") as one, _controld(postgres_url, "two") as two:
        watch = two.feed.watch("service")
        own = one.feed.watch("service")
        ids = [f"service-{number}" for number in range(300)]
        await _announce(one, "service", *ids)
        assert await own.next() == {Change("service", each) for each in ids}
        heard: set[Change] = set()
        async with asyncio.timeout(10):
            while len(heard) < 300:
                heard |= await watch.next()
        assert heard == {Change("service", each) for each in ids}
        await _announce(two, "service", "back")
        async with asyncio.timeout(10):
            assert await own.next() == {Change("service", "back")}


async def test_what_is_taken_back_is_not_heard_elsewhere(postgres_url: str) -> None:
    async with _controld(postgres_url, "one") as one, _controld(postgres_url, "two") as two:
        watch = two.feed.watch()

        async def fail() -> None:
            async with one.write() as tx:
                tx.announce("service", "never")
                raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            await fail()
        await _announce(one, "service", "after")
        async with asyncio.timeout(10):
            assert await watch.next() == {Change("service", "after")}


async def test_after_a_lost_connection_everything_may_have_changed_and_the_feed_goes_on(postgres_url: str) -> None:
    async with _controld(postgres_url, "one") as one, _controld(postgres_url, "two") as two:
        watch = two.feed.watch("service")
        plain = postgres_url.replace("+asyncpg", "")
        admin = await asyncpg.connect(plain)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        await admin.close()
        async with asyncio.timeout(20):
            assert EVERYTHING in await watch.next()
            await _until_live(two.feed, watch)
            await _announce(one, "service", "x")
            while Change("service", "x") not in await watch.next():
                pass


async def test_a_message_that_makes_no_sense_means_everything(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed("one")
    watch = feed.watch("service")
    feed.take("nonsense")
    assert await watch.next() == {EVERYTHING}


async def test_a_listener_that_fails_is_logged_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed("one")
    heard: list[Change] = []

    def fail(change: Change) -> None:
        raise ValueError(change.id)

    feed.subscribe(fail)
    feed.subscribe(heard.append)
    feed.publish([Change("a", "1")])
    assert heard == [Change("a", "1")]
    assert "listener of the change feed failed" in caplog.text


async def test_a_watch_tells_each_change_once_and_never_grows_without_end() -> None:
    feed = Feed("one")
    watch = feed.watch("a")
    feed.publish([Change("a", "1"), Change("b", "1"), Change("a", "1")])
    assert await watch.next() == {Change("a", "1")}
    feed.publish(Change("a", str(number)) for number in range(20_000))
    taken = await watch.next()
    assert EVERYTHING in taken
    assert len(taken) <= 10_001
    watch.close()
    feed.publish([Change("a", "2")])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await watch.next()
