"""The live log of a service on one node: read once, and handed to all its viewers as the bytes that came."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from controld.core.log_seat import Seat
from controld.core.log_source import LogSource
from controld.model.node import Node
from controld.model.observed import LogNotice
from controld.rules.log_events import find_behind, find_last_id, is_same_place
from kit.clock import Clock
from kit.tasks import Tasks

VIEWER_BYTES: Final = 1024 * 1024
_KEPT_BYTES: Final = 1024 * 1024
"""Of what came last so much is kept, for viewers who stand a little behind."""


class LogRelays:
    """One relay for each service and node that somebody watches, and none after the last has left.

    A viewer that stands elsewhere than the relay has a stream of its own until it has caught up.
    """

    def __init__(self, *, clock: Clock, viewer_bytes: int = VIEWER_BYTES) -> None:
        self._clock = clock
        self._viewer_bytes = viewer_bytes
        self._relays: dict[tuple[str, str], _Relay] = {}
        self._own = 0

    @property
    def streams(self) -> int:
        """How many streams of nodes are open."""
        return len(self._relays) + self._own

    def make_seat(self, source: LogSource) -> Seat:
        """A place for a viewer who stands where the source does."""
        return Seat(source.last_id, most_bytes=self._viewer_bytes)

    def move(self, service_id: str, node: Node) -> None:
        """The node may be found elsewhere from now on."""
        if (relay := self._relays.get((service_id, node.id))) is not None:
            relay.source.node = node

    async def follow(self, service_id: str, source: LogSource, seat: Seat) -> AsyncGenerator[bytes | LogNotice]:
        """What comes behind the place of the source, until the seat is stopped; the source then stands behind it."""
        key = (service_id, source.node.id)
        relay = self._relays.get(key)
        if relay is None:
            relay = self._relays[key] = _Relay(source.fork(), clock=self._clock)
        tasks = Tasks(f"log-viewer-{service_id}")
        relay.enter(seat, source)
        try:
            if not seat.is_joined:
                tasks.start("catch up", self._catch_up(relay, source.fork(), seat))
            while (item := await seat.take()) is not None:
                yield item
            source.move(seat.last_id)
        finally:
            if relay.leave(seat):
                del self._relays[key]
                await relay.close()
            await tasks.close()

    async def _catch_up(self, relay: _Relay, source: LogSource, seat: Seat) -> None:
        self._own += 1
        try:
            async with aclosing(source.follow_events(clock=self._clock)) as items:
                async for item in items:
                    if not await seat.put_own(item):
                        return
                    relay.look(seat)
                    if seat.is_joined:
                        return
        finally:
            self._own -= 1


class _Relay:
    """Reads from where the first viewer stands; it has to be closed when the last has left."""

    def __init__(self, source: LogSource, *, clock: Clock) -> None:
        self.source = source
        self._clock = clock
        self._seats: set[Seat] = set()
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._last_id = source.last_id
        self._tasks = Tasks("log-relay")

    def enter(self, seat: Seat, source: LogSource) -> None:
        """Let the viewer, who stands where the source does, have what comes behind that as soon as it is here."""
        if not self._seats:
            self._tasks.start("read", self._read())
            seat.is_joined = True
        elif not self._last_id and not source.last_id:
            seat.is_joined = source.begins_like(self.source)
        else:
            self.look(seat)
        self._seats.add(seat)

    def leave(self, seat: Seat) -> bool:
        """Let nothing more wait for the viewer; whether it was the last."""
        seat.stop()
        self._seats.discard(seat)
        return not self._seats

    def look(self, seat: Seat) -> None:
        """Join the viewer if what comes behind the place where it will stand is here."""
        if seat.is_joined or not seat.end_id:
            return
        if is_same_place(seat.end_id, self._last_id):
            seat.is_joined = True
            return
        kept = list(self._kept)
        for number in reversed(range(len(kept))):
            if find_behind(kept[number], seat.end_id) is not None:
                for events in kept[number:]:
                    seat.put(events)
                return

    async def close(self) -> None:
        """End the stream of the node."""
        await self._tasks.close()

    async def _read(self) -> None:
        async with aclosing(self.source.follow_events(clock=self._clock)) as items:
            async for item in items:
                if isinstance(item, LogNotice):
                    for seat in self._seats:
                        seat.tell(item)
                    continue
                self._last_id = find_last_id(item) or self._last_id
                self._kept.append(item)
                self._kept_bytes += len(item)
                while self._kept_bytes > _KEPT_BYTES:
                    self._kept_bytes -= len(self._kept.popleft())
                for seat in self._seats:
                    seat.put(item)
