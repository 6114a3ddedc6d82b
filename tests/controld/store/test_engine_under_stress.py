"""Cancellation, a full disk and a killed process leave the database whole and free for the next writer."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, text

from controld.core.faults import StoreBusy, StoreUnavailable
from controld.store import engine
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.tables import facts
from kit.clock import SystemClock

_SLOW = text(
    "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 1000000) "
    "INSERT INTO facts (name, value) SELECT 'slow', count(*) FROM counted"
)
_WRITER = """
import asyncio, sys
from sqlalchemy import insert
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.tables import facts
from kit.clock import SystemClock

async def write(database, worker):
    for number in range(1_000_000):
        async with database.write() as tx:
            await tx.execute(insert(facts).values(name=f"{sys.argv[2]}-{worker}-{number}-a", value="x" * 500))
            await tx.execute(insert(facts).values(name=f"{sys.argv[2]}-{worker}-{number}-b", value="x" * 500))
        print("written", flush=True)

async def main():
    database = Database(sys.argv[1], feed=Feed("test"), clock=SystemClock())
    await database.open()
    await asyncio.gather(*(write(database, worker) for worker in range(4)))

asyncio.run(main())
"""


async def _names(database: Database) -> set[str]:
    async with database.read() as tx:
        return set((await tx.execute(select(facts.c.name))).scalars())


async def _write(database: Database, *names: str) -> None:
    async with database.write() as tx:
        for name in names:
            await tx.execute(insert(facts).values(name=name, value="x" * 1000))
            await asyncio.sleep(0)


async def test_a_writer_cancelled_in_a_slow_statement_lets_the_next_in_once_it_is_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.05)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/control.db", feed=Feed("test"), clock=SystemClock())
    await database.open()

    async def write_slowly() -> None:
        async with database.write() as tx:
            await tx.execute(_SLOW)

    slow = asyncio.ensure_future(write_slowly())
    await asyncio.sleep(0.05)
    slow.cancel()
    await asyncio.sleep(0)
    slow.cancel()
    await _write(database, "next")
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert await _names(database) == {"next"}
    await database.close()


async def test_transactions_cancelled_anywhere_are_whole_and_leave_every_connection_usable(
    either_database: Database,
) -> None:
    dice, outcomes = random.Random(7), Counter[str]()

    async def read() -> None:
        async with either_database.read() as tx:
            await tx.execute(select(facts).limit(20))

    async def live(worker: int) -> None:
        for turn in range(25):
            key = f"{worker}-{turn}"
            work = asyncio.ensure_future(_write(either_database, f"{key}.a", f"{key}.b") if worker % 3 else read())
            for _ in range(dice.choice((0, 1, 2))):
                await asyncio.sleep(dice.random() * 0.01)
                work.cancel()
            try:
                await work
                outcomes["done"] += 1
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(live(worker) for worker in range(18)))
    assert outcomes["cancelled"] > 0
    halves = Counter(name.partition(".")[0] for name in await _names(either_database))
    assert set(halves.values()) == {2}
    async with asyncio.timeout(10):
        await asyncio.gather(*(read() for _ in range(30)), *(_write(either_database, f"end-{n}") for n in range(10)))


async def test_a_commit_under_way_is_waited_for_before_the_feed_is_told(database: Database) -> None:
    seen: list[set[str]] = []
    told = asyncio.Event()
    database.feed.subscribe(lambda _: told.set())

    async def write() -> None:
        async with database.write() as tx:
            await tx.execute(insert(facts).values(name="a", value=1))
            tx.announce("fact", "a")
            asyncio.get_running_loop().call_soon(writing.cancel)

    writing = asyncio.ensure_future(write())
    await told.wait()
    seen.append(await _names(database))
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert seen == [{"a"}]


async def test_a_writer_whose_turn_does_not_come_is_told_to_try_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_QUEUE_SECONDS", 0.05)
    async with database.write():
        with pytest.raises(StoreBusy) as refused:
            await _write(database, "a")
    assert refused.value.retry_after_seconds == 1
    await _write(database, "a")


async def test_readers_that_take_every_connection_hold_no_writer_back(database: Database) -> None:
    going, reading = asyncio.Event(), asyncio.Semaphore(0)

    async def read() -> None:
        async with database.read() as tx:
            await tx.execute(select(facts))
            reading.release()
            await going.wait()

    readers = [asyncio.ensure_future(read()) for _ in range(20)]
    for _ in range(8):
        await reading.acquire()
    async with asyncio.timeout(5):
        await _write(database, "a")
    going.set()
    await asyncio.gather(*readers)


async def test_a_full_disk_is_told_and_writing_goes_on_once_there_is_room(database: Database) -> None:
    await _write(database, "before")

    async def fill() -> None:
        async with database.write() as tx:
            await tx.execute(text("PRAGMA max_page_count = 1"))
            await tx.execute(insert(facts), [{"name": f"{n}", "value": "x" * 4000} for n in range(200)])

    with pytest.raises(StoreUnavailable, match="disk that holds the database is full"):
        await fill()
    assert await _names(database) == {"before"}
    async with database.write() as tx:
        await tx.execute(text("PRAGMA max_page_count = 1000000"))
    await _write(database, "after")
    assert await _names(database) == {"before", "after"}


async def test_a_commit_that_fails_leaves_no_transaction_open(database: Database) -> None:
    async def write_what_points_nowhere() -> None:
        async with database.write() as tx:
            await tx.execute(text("PRAGMA defer_foreign_keys = ON"))
            await tx.execute(text("INSERT INTO memberships (project_id, user_id, role) VALUES ('x', 'y', 'viewer')"))

    with pytest.raises(Exception, match="cannot save it"):
        await write_what_points_nowhere()
    for number in range(3):
        await _write(database, f"{number}")
    async with database.write() as tx:
        await tx.execute(delete(facts))


def test_a_process_killed_while_it_writes_leaves_a_database_that_opens_whole(tmp_path: Path) -> None:
    file = tmp_path / "control.db"
    for life in range(3):
        command = [sys.executable, "-c", _WRITER, f"sqlite+aiosqlite:///{file}", str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20 + 7 * life):
                assert process.stdout.readline() == "written\n"
            process.send_signal(signal.SIGKILL)
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [str(name) for (name,) in connection.execute("SELECT name FROM facts")]
    connection.close()
    halves = Counter(name.rpartition("-")[0] for name in names)
    assert len(halves) >= 81
    assert set(halves.values()) == {2}
