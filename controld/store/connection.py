"""One connection of SQLAlchemy's engine with calls that are awaited.

`sqlalchemy.ext.asyncio` does the same, and loads the ORM with it, which nothing of ours uses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, TypeVarTuple

from sqlalchemy import Connection as Blocking
from sqlalchemy import Engine
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Connection:
    """A connection from the pool of an engine whose driver is one of asyncio's; `open` comes first, `close` last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._opened: Blocking | None = None

    async def open(self) -> None:
        """Take a connection from the pool, or make one."""
        self._opened = await greenlet_spawn(self._engine.connect)

    async def close(self) -> None:
        """Roll back what was not committed and give the connection back to the pool."""
        await greenlet_spawn(self.blocking.close)

    @property
    def is_open(self) -> bool:
        """Whether it has been opened."""
        return self._opened is not None

    @property
    def is_postgres(self) -> bool:
        """Whether the database is PostgreSQL."""
        return self._engine.dialect.name == "postgresql"

    @property
    def blocking(self) -> Blocking:
        """SQLAlchemy's own connection, for what `run` calls."""
        if self._opened is None:
            raise RuntimeError("the connection is not open")
        return self._opened

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        """The result of a statement with all of its rows; a list of parameters runs it once for each."""
        return await greenlet_spawn(_execute, self.blocking, statement, parameters)

    async def set_options(self, **options: Any) -> None:
        """Set SQLAlchemy's execution options of this connection, ahead of its first statement."""
        await greenlet_spawn(self.blocking.execution_options, **options)

    async def commit(self) -> None:
        """Commit the transaction that the first statement began."""
        await greenlet_spawn(self.blocking.commit)

    async def invalidate(self) -> None:
        """Let the pool drop the connection instead of taking it back."""
        await greenlet_spawn(self.blocking.invalidate)

    async def run(self, work: Callable[[Blocking, *Ts], T], *arguments: *Ts) -> T:
        """What `work` makes of SQLAlchemy's own connection, whose calls wait for this one's driver."""
        return await greenlet_spawn(work, self.blocking, *arguments)


@asynccontextmanager
async def connected(engine: Engine) -> AsyncIterator[Connection]:
    """A connection for the block; what was not committed in it is rolled back."""
    connection = Connection(engine)
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


async def dispose(engine: Engine) -> None:
    """Close the pool's connections."""
    await greenlet_spawn(engine.dispose)


def _execute(connection: Blocking, statement: Any, parameters: Any) -> Any:
    """Read the rows while the driver can still be waited for."""
    result = connection.execute(statement, parameters)
    return result.freeze()() if result.returns_rows else result
