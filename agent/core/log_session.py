"""The live log of one service or run while somebody watches: a follower a container, and everything to every viewer."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import AsyncGenerator, MutableMapping, Sequence
from contextlib import aclosing
from itertools import chain
from operator import attrgetter
from typing import Final

from agent.core.faults import ContainerGone, NotOurs
from agent.core.log_batch import BATCH_BYTES, LogBatch, Pile, make_batch
from agent.core.log_reader import START, LogReader, Source, list_logs, pick_sources
from agent.core.log_viewer import Viewer
from agent.model.log_archive import ArchivedLog
from agent.model.logs import Entry, Position
from agent.rules.log_archive import find_end, find_read, name_read
from agent.rules.log_filter import LogFilter
from agent.rules.retry import compute_retry_seconds
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_CATCH_UPS: Final = 3
_AGAIN_SECONDS: Final = 0.1
_RETRY_LEAST_SECONDS: Final = 0.2
_RETRY_MOST_SECONDS: Final = 5.0


class LogSession:
    """Followers run from the first viewer that joins until `close`; new containers of the service join by `refresh`."""

    def __init__(self, subject: str, reader: LogReader, *, tasks: Tasks, clock: Clock, viewer_bytes: int) -> None:
        self._subject = subject
        self._reader = reader
        self._tasks = tasks
        self._clock = clock
        self._viewer_bytes = viewer_bytes
        self._viewers: set[Viewer] = set()
        self._watching: set[Viewer] = set()
        """Those for whom the containers have been looked up."""
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._heads: dict[str, Position] = {}
        """Up to where the followers have read."""
        self._told: dict[str, Position] = {}
        """Up to where the viewers were told."""
        self._archived: dict[str, ArchivedLog] = {}
        """Archived logs that were told, or that every viewer reads for itself."""
        self._pending: dict[str, Pile] = {}
        self._pending_bytes = 0
        self._flush_handle: asyncio.Handle | None = None
        self._closed = False

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    @property
    def followers(self) -> int:
        """How many containers are being followed."""
        return len(self._followers)

    async def join(
        self, positions: dict[str, Position], *, frames: str | None = None, wanted: LogFilter | None = None
    ) -> AsyncGenerator[LogBatch]:
        """What is behind the positions and what comes from then on, without gap or repeat; for ever.

        With `frames` what comes may be there as events alone, whose ids begin with it. Of what is dropped, that which
        `wanted` keeps is counted.
        """
        viewer = Viewer(positions, most_bytes=self._viewer_bytes, frames=frames, wanted=wanted)
        self._viewers.add(viewer)
        try:
            live: dict[str, Position] = {}
            sources: tuple[Source, ...] = ()
            for _ in range(_CATCH_UPS):
                sources = await self._reader.list_sources(self._subject)
                viewer.restart()
                # What nobody has watched yet is followed from where this viewer stands, who has no more to catch up
                # then; to those who watch already, a container that is new is new from its first line.
                first = not self._watching
                if first:
                    self._archived = {log.container: log for log in list_logs(sources)}
                unread = pick_sources(sources, positions)
                behind = [each for each in unread if not each.is_alive or not first or self._knows(each.key)]
                self._follow(sources, positions if first else {})
                self._watching.add(viewer)
                live = dict(self._told)
                async with aclosing(self._reader.read_merged(behind, positions)) as entries:
                    async for batch in gather(entries, positions):
                        yield batch
                if not viewer.has_overflowed:
                    break
            logs = list_logs(sources)
            # Followers that are behind tell the others what this viewer has read for itself.
            for log in logs:
                if self._has_more(log.container):
                    positions.setdefault(log.container, find_end(log))
            for key, position in positions.items():
                if key not in self._followers:
                    self._told.setdefault(key, position)
            name_read(logs, self._told)
            viewer.begin(live)
            viewer.release(log.container for log in logs if not self._has_more(log.container))
            while True:
                yield await viewer.take()
        finally:
            self._viewers.discard(viewer)
            self._watching.discard(viewer)

    def refresh(self) -> None:
        """Containers of the service may have started or gone: follow the one, forget the other."""
        if not self._closed:
            self._tasks.start(f"refresh-{self._subject}", self._refresh())

    def close(self) -> None:
        """End every follower; viewers hear nothing more."""
        self._closed = True
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        for follower in self._followers.values():
            follower.cancel()

    async def _refresh(self) -> None:
        failures = 0
        while not self._closed:
            try:
                self._follow(await self._reader.list_sources(self._subject), {})
            except Fault as fault:
                failures += 1
                _log.warning("containers not listed for logs", extra={"fault": fault.message})
                await self._clock.sleep(_back_off(failures))
            else:
                return

    def _follow(self, sources: tuple[Source, ...], positions: dict[str, Position]) -> None:
        if self._closed:
            return
        self._forget_read()
        present = {source.key for source in sources}
        for gone in [key for key in self._told if key not in present and key not in self._followers]:
            self._forget(gone)
        for source in sources:
            if source.archived is None and not source.is_alive:
                continue
            if source.archived is not None:
                if source.key in self._archived:
                    continue
                self._archived[source.key] = source.archived
            if source.key in self._followers:
                self._again.add(source.key)
                continue
            stands = self._heads.get(source.key) or self._told.get(source.key) or positions.get(source.key)
            if stands is not None:
                self._heads[source.key] = stands
            # A cursor has to name what is being followed even ahead of its first line.
            self._told.setdefault(source.key, stands or START)
            task = self._tasks.start(f"follow-{source.key}", self._run(source))
            self._followers[source.key] = task

    def _forget_read(self) -> None:
        """Take out of the cursors what is archived and known to be read without them."""
        named = self._archived.keys() & self._told.keys()
        for key in find_read([self._archived[key] for key in named if not self._has_more(key)], self._told):
            self._forget(key)

    def _forget(self, key: str) -> None:
        del self._told[key]
        self._heads.pop(key, None)
        for viewer in self._viewers:
            viewer.forget(key)

    def _has_more(self, key: str) -> bool:
        """Whether lines of the container are read that the viewers were not told yet."""
        return key in self._followers or key in self._pending

    def _knows(self, key: str) -> bool:
        return key in self._followers or key in self._heads or key in self._told

    async def _run(self, source: Source) -> None:
        failures = 0
        try:
            while not self._closed:
                self._again.discard(source.key)
                try:
                    async with aclosing(
                        self._reader.read_behind(source, self._heads.get(source.key), follow=True)
                    ) as entries:
                        async for each in entries:
                            failures = 0
                            self._add(each)
                    if source.key not in self._again and not await self._is_alive(source):
                        return
                    await self._clock.sleep(_AGAIN_SECONDS)
                except (ContainerGone, NotOurs):
                    return
                except Fault as fault:
                    failures += 1
                    if failures == 1:
                        _log.warning("log not followed", extra={"container": source.key, "fault": fault.message})
                    await self._clock.sleep(_back_off(failures))
        finally:
            self._followers.pop(source.key, None)

    async def _is_alive(self, source: Source) -> bool:
        sources = await self._reader.list_sources(self._subject)
        if source.key in self._again:
            return True
        return any(each.key == source.key and each.is_alive for each in sources)

    def _add(self, entries: Sequence[Entry]) -> None:
        container = entries[-1].container
        self._heads[container] = entries[-1].position
        self._pending_bytes += self._pending.setdefault(container, Pile()).add(entries)
        if self._pending_bytes >= BATCH_BYTES:
            self._flush()
        elif self._flush_handle is None:
            # It runs once the followers wait for the engine, so that what has come by then goes out together.
            self._flush_handle = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        piles, self._pending, self._pending_bytes = list(self._pending.values()), {}, 0
        if not piles:
            return
        parts: Sequence[Sequence[Entry]] = piles[0].parts
        if len(piles) > 1:
            parts = [list(heapq.merge(*(chain.from_iterable(pile.parts) for pile in piles), key=attrgetter("usec")))]
        batch = make_batch(parts, self._told)
        for viewer in self._viewers:
            viewer.put(batch)
        self._forget_read()


async def gather(
    entries: AsyncGenerator[Sequence[Entry]],
    positions: MutableMapping[str, Position],
    *,
    archived: Sequence[ArchivedLog] = (),
) -> AsyncGenerator[LogBatch]:
    """The entries in batches of 64 KiB and more, the positions moving on with each, past archived logs once read."""
    waiting = Pile()
    async for each in entries:
        waiting.add(each)
        if waiting.size_bytes >= BATCH_BYTES:
            yield make_batch(waiting.parts, positions)
            waiting = Pile()
            for key in find_read(archived, positions):
                positions.pop(key, None)
    if waiting.parts:
        yield make_batch(waiting.parts, positions)


def _back_off(failures: int) -> float:
    return compute_retry_seconds(
        failures, least_seconds=_RETRY_LEAST_SECONDS, most_seconds=_RETRY_MOST_SECONDS, jitter=0.5
    )
