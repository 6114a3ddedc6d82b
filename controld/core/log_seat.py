"""One viewer of a log that many watch: what waits for it, and what it was too slow for."""

from __future__ import annotations

import asyncio
from collections import deque

from controld.model.observed import LogNotice, NoticeKind
from controld.rules.log_events import count_lines, find_behind, find_last_id


class Seat:
    """Takes events without ever holding up who gives them.

    They wait until `take`, up to `most_bytes`; what comes beyond that is dropped, counted, and told where it is
    missing. What all viewers get is let in once the viewer has had everything ahead of it: `is_joined`.
    """

    def __init__(self, last_id: str, *, most_bytes: int) -> None:
        self.last_id = last_id
        """The id behind which the viewer stands."""
        self.end_id = last_id
        """The id behind which it will stand once it has taken what waits."""
        self.is_joined = False
        self._most_bytes = most_bytes
        self._waiting: deque[bytes | LogNotice | int] = deque()
        self._waiting_bytes = 0
        self._is_stopped = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()

    def put(self, events: bytes) -> None:
        """Let events that all viewers get wait, or drop them; those behind where it will stand let the viewer join."""
        if not self.is_joined:
            behind = find_behind(events, self.end_id) if self.end_id else None
            if behind is None:
                return
            self.is_joined = True
            events = events[behind:]
        if self._is_stopped or not events:
            return
        if self._waiting_bytes + len(events) > self._most_bytes:
            self._drop(count_lines(events))
        else:
            self._add(events)

    def tell(self, notice: LogNotice) -> None:
        """Let a word that all viewers get wait."""
        if self.is_joined and not self._is_stopped:
            self._add(notice)

    async def put_own(self, item: bytes | LogNotice) -> bool:
        """Let what only this viewer gets wait, as soon as there is room; false when it needs no more of that."""
        while not self.is_joined and not self._is_stopped and 2 * self._waiting_bytes > self._most_bytes:
            self._room.clear()
            await self._room.wait()
        if self.is_joined or self._is_stopped:
            return False
        self._add(item)
        if isinstance(item, bytes):
            self.end_id = find_last_id(item) or self.end_id
        return True

    def stop(self) -> None:
        """Let nothing more come: what waits is the last."""
        self._is_stopped = True
        self._changed.set()
        self._room.set()

    async def take(self) -> bytes | LogNotice | None:
        """Wait for what comes next; None once it was stopped and has given all."""
        while not self._waiting:
            if self._is_stopped:
                return None
            self._changed.clear()
            await self._changed.wait()
        item = self._waiting.popleft()
        if isinstance(item, bytes):
            self._waiting_bytes -= len(item)
            self._room.set()
            self.last_id = find_last_id(item) or self.last_id
            return item
        if isinstance(item, int):
            return LogNotice(id=self.last_id, kind=NoticeKind.DROPPED, text=f"{item} lines dropped")
        return LogNotice(id=self.last_id, kind=item.kind, text=item.text)

    def _add(self, item: bytes | LogNotice) -> None:
        self._waiting.append(item)
        self._waiting_bytes += len(item) if isinstance(item, bytes) else 0
        self._changed.set()

    def _drop(self, count: int) -> None:
        if self._waiting and isinstance(self._waiting[-1], int):
            self._waiting[-1] += count
        else:
            self._waiting.append(count)
        self._changed.set()
