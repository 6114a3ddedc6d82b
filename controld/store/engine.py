"""The database: transactions on SQLite or PostgreSQL, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import StaticPool

from controld.core.faults import AlreadyExists, StoreBusy, StoreUnavailable
from controld.model.change import Change
from controld.store.connection import Connection, dispose
from controld.store.feed import CHANNEL, Feed, Listener
from controld.store.migrate import migrate
from kit.clock import Clock
from kit.exposition import Histogram
from kit.faults import Invalid
from kit.tasks import Tasks

_BUSY_SECONDS = 5.0
_COMMAND_SECONDS = 30.0
_CONNECTIONS = 8
_QUEUE_SECONDS = 10.0
"""So long a transaction waits for its turn or for a free connection."""
_PG_BAD_DATA = "22"
_PG_DISK_FULL = "53100"
_PG_COLLISIONS = frozenset({"40001", "40P01", "55P03"})
_WRITE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Transaction:
    """One transaction on one connection; it collects what to tell the feed after commit."""

    def __init__(self, connection: Connection, *, unbroken: Tasks | None = None) -> None:
        self._connection = connection
        self._unbroken = unbroken
        self.changes: dict[Change, None] = {}

    @property
    def is_postgres(self) -> bool:
        """Whether the database is PostgreSQL."""
        return self._connection.is_postgres

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        """The result of a SQLAlchemy statement, buffered; a list of parameters runs it once for each."""
        execution = self._connection.execute(statement, parameters)
        return await (execution if self._unbroken is None else self._unbroken.finish("execute", execution))

    async def lock(self, name: str) -> None:
        """Hold this name until the end; on SQLite a writer is alone anyway."""
        if self.is_postgres:
            await self._connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    def announce(self, kind: str, *ids: str) -> None:
        """Tell the feed, once this is committed, that these things changed."""
        self.changes.update((Change(kind, id), None) for id in ids)


class Database:
    """Opens transactions on the database at a URL (`sqlite+aiosqlite:///path` or `postgresql+asyncpg://…`).

    `open` brings the schema forward first. Writers on SQLite queue here, so that none waits in the database's own
    polling; PostgreSQL transactions are READ COMMITTED, and `Transaction.lock` guards what needs more. Who is cancelled
    ends its transaction whole: a commit under way is waited for, anything else is rolled back, and only then is the
    connection free and the next writer let in. A statement on SQLite runs in a thread that nothing interrupts, so it is
    waited for as well. Who waits 10 s for a turn or a connection gets StoreBusy.
    """

    def __init__(self, url: str, *, feed: Feed, clock: Clock) -> None:
        self.url = url
        self.feed = feed
        self._clock = clock
        self._opened: Engine | None = None
        self._is_postgres = make_url(url).get_backend_name() == "postgresql"
        self._writer = asyncio.Lock()
        self._readers = self._writer if _is_in_memory(url) else asyncio.Semaphore(_CONNECTIONS)
        self._tasks = Tasks("database")
        self._unbroken = None if self._is_postgres else self._tasks
        self._listener = Listener(url, feed=feed, clock=clock) if self._is_postgres else None
        self.waiting = 0
        """Transactions that wait for their turn."""
        self.busy = 0
        """Transactions that gave up waiting, since the start."""
        self.write_seconds = Histogram(_WRITE_SECONDS)
        """How long transactions that may change things took, with their wait."""

    async def open(self) -> None:
        """Bring the schema forward and begin to hear other processes' changes; raises DatabaseNewer."""
        self._opened = await asyncio.to_thread(_make_engine, self.url)
        with _translated():
            await migrate(self._engine, clock=self._clock)
        if self._listener is not None:
            await self._listener.start()

    async def close(self) -> None:
        """Close every connection."""
        if self._listener is not None:
            await self._listener.close()
        if self._opened is not None:
            await dispose(self._opened)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A consistent view that changes nothing."""
        with self._measured(None), _translated():
            async with self._admitted(None if self._is_postgres else self._readers) as connection:
                if self._is_postgres:
                    await connection.set_options(isolation_level="REPEATABLE READ")
                yield Transaction(connection, unbroken=self._unbroken)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that may change things; leaving the block commits, then the feed is told."""
        with self._measured(self.write_seconds), _translated():
            async with self._admitted(None if self._is_postgres else self._writer) as connection:
                await connection.set_options(moorage_write=True)
                transaction = Transaction(connection, unbroken=self._unbroken)
                yield transaction
                changes = list(transaction.changes)
                if changes and self._is_postgres:
                    await self._notify(connection, changes)
                try:
                    await self._tasks.finish("commit", _commit(connection))
                finally:
                    self.feed.publish(changes)

    async def fetch_size(self) -> int:
        """Bytes that it takes, with the log of what was not yet moved into it; raises StoreUnavailable."""
        if self._is_postgres:
            async with self.read() as tx:
                return int((await tx.execute(text("SELECT pg_database_size(current_database())"))).scalar_one())
        file = make_url(self.url).database
        return 0 if _is_in_memory(self.url) or file is None else await asyncio.to_thread(_read_sizes, Path(file))

    @contextmanager
    def _measured(self, seconds: Histogram | None) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        except StoreBusy:
            self.busy += 1
            raise
        finally:
            if seconds is not None:
                seconds.add(perf_counter() - started)

    @asynccontextmanager
    async def _admitted(self, queue: asyncio.Lock | asyncio.Semaphore | None) -> AsyncIterator[Connection]:
        """A connection, once the queue's place is had in the order of asking; raises StoreBusy."""
        self.waiting += 1
        waits = True
        try:
            async with _turn(queue), self._connected() as connection:
                self.waiting -= 1
                waits = False
                yield connection
        finally:
            self.waiting -= waits

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """A connection that is clean and back in the pool when the block has ended, however it ends."""
        connection = Connection(self._engine)
        opening = connection.open()
        try:
            await (opening if self._unbroken is None else self._unbroken.finish("connect", opening))
            yield connection
        finally:
            if connection.is_open:
                await self._tasks.finish("release", connection.close())

    @property
    def _engine(self) -> Engine:
        if self._opened is None:
            raise RuntimeError("the database is not open")
        return self._opened

    async def _notify(self, connection: Connection, changes: list[Change]) -> None:
        for payload in self.feed.encode(changes):
            await connection.execute(
                text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload}
            )


def _make_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() == "postgresql":
        return create_engine(
            url,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_QUEUE_SECONDS,
            pool_pre_ping=True,
            connect_args={"timeout": 10, "command_timeout": _COMMAND_SECONDS, "server_settings": {"jit": "off"}},
        )
    more: dict[str, Any] = (
        {"poolclass": StaticPool} if _is_in_memory(url) else {"pool_size": _CONNECTIONS + 1, "max_overflow": 0}
    )
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **more)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("moorage_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_in_memory(url: str) -> bool:
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}


async def _commit(connection: Connection) -> None:
    """Commit; a connection whose commit failed may still be in its transaction, so it is closed for good."""
    try:
        await connection.commit()
    except DBAPIError:
        await connection.invalidate()
        raise


def _read_sizes(file: Path) -> int:
    try:
        beside = file.with_name(f"{file.name}-wal")
        return file.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
    except OSError as error:
        raise StoreUnavailable(f"cannot tell the size of the database: {error}") from error


@asynccontextmanager
async def _turn(queue: asyncio.Lock | asyncio.Semaphore | None) -> AsyncIterator[None]:
    """Hold the queue's place, which is had in the order of asking; raises StoreBusy."""
    if queue is None:
        yield
        return
    try:
        async with asyncio.timeout(_QUEUE_SECONDS):
            await queue.acquire()
    except TimeoutError as error:
        raise StoreBusy(
            f"cannot use the database: no turn came within {_QUEUE_SECONDS:g} s; try again", retry_after_seconds=1
        ) from error
    try:
        yield
    finally:
        queue.release()


@contextmanager
def _translated() -> Iterator[None]:
    """Word the database's failures as ours; a statement that is wrong stays a bug."""
    try:
        yield
    except IntegrityError as error:
        raise AlreadyExists("cannot save it: something with this name or identity is there already") from error
    except PoolTimeout as error:
        raise StoreBusy("cannot reach the database: every connection is in use", retry_after_seconds=1) from error
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        if sqlstate.startswith(_PG_BAD_DATA):
            raise Invalid("cannot use it: a value holds what the database cannot keep, such as a NUL") from error
        if sqlstate in _PG_COLLISIONS or "database is locked" in str(error.orig):
            raise StoreBusy("cannot save it: another change is under way", retry_after_seconds=1) from error
        if sqlstate == _PG_DISK_FULL or "disk is full" in str(error.orig):
            raise StoreUnavailable("cannot save it: the disk that holds the database is full") from error
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise StoreUnavailable(f"cannot use the database: {error.orig}") from error
        raise
    except (ConnectionError, TimeoutError) as error:
        raise StoreUnavailable("cannot reach the database") from error
