"""The feed of changes: told in this process after each commit, and between processes by PostgreSQL's NOTIFY."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from controld.model.change import EVERYTHING, Change
from kit.clock import Clock
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

CHANNEL: Final = "moorage"
PER_MESSAGE: Final = 80
"""Changes in one NOTIFY, whose payload PostgreSQL limits to 8,000 bytes."""
_WATCH_LIMIT = 10_000
_PROBE_SECONDS = 5.0
_TIMEOUT_SECONDS = 10.0
_LONGEST_BACK_OFF_SECONDS = 10.0


class _Message(msgspec.Struct, frozen=True, array_like=True):
    origin: str
    changes: list[tuple[str, str]]


class Watch:
    """Changes that wait for one reader, each told once; past 10,000 they become EVERYTHING."""

    def __init__(self, close: Callable[[Watch], None]) -> None:
        self._pending: set[Change] = set()
        self._arrived = asyncio.Event()
        self._close = close

    async def next(self) -> frozenset[Change]:
        """Wait until there is at least one change and take all of them."""
        await self._arrived.wait()
        taken = frozenset(self._pending)
        self._pending.clear()
        self._arrived.clear()
        return taken

    def close(self) -> None:
        """Stop to collect."""
        self._close(self)

    def add(self, change: Change) -> None:
        """Keep a change for the reader."""
        if len(self._pending) >= _WATCH_LIMIT:
            self._pending = {EVERYTHING}
        self._pending.add(change)
        self._arrived.set()


class Feed:
    """Tells listeners what changed after each commit of this process; `Listener` adds the commits of others."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        """This process's name among those that share a database."""
        self.is_live = True
        self._listeners: list[tuple[frozenset[str] | None, Callable[[Change], None]]] = []
        self._watches: dict[Watch, frozenset[str] | None] = {}

    def subscribe(self, listener: Callable[[Change], None], *, kinds: Iterable[str] | None = None) -> None:
        """Call the listener for each change of these kinds (absent: any), and for EVERYTHING."""
        self._listeners.append((None if kinds is None else frozenset(kinds), listener))

    def watch(self, *kinds: str) -> Watch:
        """Collect changes of these kinds (none given: any), and EVERYTHING, for a reader."""
        watch = Watch(self._forget)
        self._watches[watch] = frozenset(kinds) or None
        return watch

    def publish(self, changes: Iterable[Change]) -> None:
        """Tell all listeners, in order; a listener that fails is logged and harms no other."""
        for change in changes:
            for kinds, listener in self._listeners:
                if kinds is None or change.kind in kinds or change is EVERYTHING:
                    try:
                        listener(change)
                    except Exception:  # noqa: BLE001 - it is logged, and the others have to hear
                        _log.exception("listener of the change feed failed", extra={"kind": change.kind})
            for watch, kinds in self._watches.items():
                if kinds is None or change.kind in kinds or change is EVERYTHING:
                    watch.add(change)

    def encode(self, changes: list[Change]) -> list[str]:
        """The changes as NOTIFY payloads under this process's name."""
        pairs = [(change.kind, change.id) for change in changes]
        pieces = [pairs[start : start + PER_MESSAGE] for start in range(0, len(pairs), PER_MESSAGE)]
        return [msgspec.json.encode(_Message(self.origin, piece)).decode() for piece in pieces]

    def take(self, payload: str) -> None:
        """Tell what another process's NOTIFY says; our own was told at commit, and nonsense means EVERYTHING."""
        try:
            message = msgspec.json.decode(payload, type=_Message)
        except msgspec.MsgspecError:
            _log.warning("change feed heard a message that it cannot read")
            self.publish([EVERYTHING])
            return
        if message.origin != self.origin:
            self.publish(Change(kind, id) for kind, id in message.changes)

    def _forget(self, watch: Watch) -> None:
        self._watches.pop(watch, None)


class Listener:
    """Keeps a PostgreSQL connection that hears other processes' changes, and tells EVERYTHING after each gap."""

    def __init__(self, url: str, *, feed: Feed, clock: Clock) -> None:
        self._url = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._feed = feed
        self._clock = clock
        self._tasks = Tasks("change feed")

    async def start(self) -> None:
        """Listen from now on; a connection that cannot be had is tried again with back-off."""
        self._feed.is_live = False
        ready = asyncio.Event()
        self._tasks.start("listen", self._run(ready))
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await ready.wait()
        except TimeoutError:
            _log.warning("change feed is not connected yet")

    async def close(self) -> None:
        """Stop to listen."""
        await self._tasks.close()

    async def _run(self, ready: asyncio.Event) -> None:
        import asyncpg

        failures = 0
        while True:
            try:
                connection = await asyncpg.connect(
                    self._url, timeout=_TIMEOUT_SECONDS, command_timeout=_TIMEOUT_SECONDS
                )
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                failures += 1
                _log.warning("change feed cannot connect", extra={"reason": str(error)})
            else:
                try:
                    await connection.add_listener(CHANNEL, self._heard)
                    failures = 0
                    self._feed.is_live = True
                    self._feed.publish([EVERYTHING])
                    ready.set()
                    await self._stay(connection)
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    _log.warning("change feed lost its connection", extra={"reason": str(error)})
                finally:
                    self._feed.is_live = False
                    connection.terminate()
                self._feed.publish([EVERYTHING])
            longest = min(_LONGEST_BACK_OFF_SECONDS, 0.1 * 2**failures)
            await self._clock.sleep(random.uniform(longest / 2, longest))

    async def _stay(self, connection: Any) -> None:
        """Return when the connection has ended; a silent one is noticed by a probe."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        while not ended.is_set() and not connection.is_closed():
            try:
                async with asyncio.timeout(_PROBE_SECONDS):
                    await ended.wait()
            except TimeoutError:
                await connection.fetchval("SELECT 1")

    def _heard(self, connection: Any, pid: int, channel: str, payload: Any) -> None:
        del connection, pid, channel
        self._feed.take(str(payload))
