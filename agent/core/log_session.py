"""The live log of one service while somebody watches: one follower a container, and everything to every viewer."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from operator import attrgetter
from typing import Final

from agent.core.faults import ContainerGone, NotOurs
from agent.core.log_batch import BATCH_BYTES, LogBatch, make_batch, measure
from agent.core.log_reader import LogReader, Source
from agent.core.log_viewer import Viewer
from agent.model.logs import Entry, Position
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

    def __init__(self, service_id: str, reader: LogReader, *, tasks: Tasks, clock: Clock, viewer_bytes: int) -> None:
        self._service_id = service_id
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
        self._pending: dict[str, list[Entry]] = {}
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

    async def join(self, positions: dict[str, Position]) -> AsyncGenerator[LogBatch]:
        """What is behind the positions and what comes from then on, without gap or repeat; for ever."""
        viewer = Viewer(positions, most_bytes=self._viewer_bytes)
        self._viewers.add(viewer)
        try:
            live: dict[str, Position] = {}
            for _ in range(_CATCH_UPS):
                sources = await self._reader.list_sources(self._service_id)
                viewer.restart()
                # What nobody has watched yet is followed from where this viewer stands, who has no more to catch up
                # then; to those who watch already, a container that is new is new from its first line.
                first = not self._watching
                behind = [each for each in sources if not each.is_alive or not first or self._knows(each.key)]
                self._follow(sources, positions if first else {})
                self._watching.add(viewer)
                live = dict(self._told)
                async with aclosing(self._reader.read_merged(behind, positions)) as entries:
                    async for batch in gather(entries, positions):
                        yield batch
                if not viewer.has_overflowed:
                    break
            for key, position in positions.items():
                if key not in self._followers:
                    self._told.setdefault(key, position)
            viewer.begin(live)
            while True:
                yield await viewer.take()
        finally:
            self._viewers.discard(viewer)
            self._watching.discard(viewer)

    def refresh(self) -> None:
        """Containers of the service may have started or gone: follow the one, forget the other."""
        if not self._closed:
            self._tasks.start(f"refresh-{self._service_id}", self._refresh())

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
                self._follow(await self._reader.list_sources(self._service_id), {})
            except Fault as fault:
                failures += 1
                _log.warning("containers not listed for logs", extra={"fault": fault.message})
                await self._clock.sleep(_back_off(failures))
            else:
                return

    def _follow(self, sources: tuple[Source, ...], positions: dict[str, Position]) -> None:
        if self._closed:
            return
        present = {source.key for source in sources}
        for gone in [key for key in self._told if key not in present and key not in self._followers]:
            del self._told[gone]
            self._heads.pop(gone, None)
            for viewer in self._viewers:
                viewer.forget(gone)
        for source in sources:
            if not source.is_alive:
                continue
            if source.key in self._followers:
                self._again.add(source.key)
                continue
            stands = self._heads.get(source.key) or self._told.get(source.key) or positions.get(source.key)
            if stands is not None:
                self._heads[source.key] = stands
                self._told.setdefault(source.key, stands)
            task = self._tasks.start(f"follow-{source.key}", self._run(source))
            self._followers[source.key] = task

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
                        async for entry in entries:
                            failures = 0
                            self._add(entry)
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
        sources = await self._reader.list_sources(self._service_id)
        if source.key in self._again:
            return True
        return any(each.key == source.key and each.is_alive for each in sources)

    def _add(self, entry: Entry) -> None:
        self._heads[entry.container] = entry.position
        self._pending.setdefault(entry.container, []).append(entry)
        self._pending_bytes += measure(entry)
        if self._pending_bytes >= BATCH_BYTES:
            self._flush()
        elif self._flush_handle is None:
            # It runs once the followers wait for the engine, so that what has come by then goes out together.
            self._flush_handle = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        lists, self._pending, self._pending_bytes = list(self._pending.values()), {}, 0
        if not lists:
            return
        entries = lists[0] if len(lists) == 1 else list(heapq.merge(*lists, key=attrgetter("usec")))
        batch = make_batch(entries, self._told)
        for viewer in self._viewers:
            viewer.put(batch, entries)


async def gather(entries: AsyncGenerator[Entry], positions: dict[str, Position]) -> AsyncGenerator[LogBatch]:
    """The entries in batches of about 64 KiB, the positions moving on with each."""
    waiting: list[Entry] = []
    size_bytes = 0
    async for entry in entries:
        waiting.append(entry)
        size_bytes += measure(entry)
        if size_bytes >= BATCH_BYTES:
            yield make_batch(waiting, positions)
            waiting, size_bytes = [], 0
    if waiting:
        yield make_batch(waiting, positions)


def _back_off(failures: int) -> float:
    return compute_retry_seconds(
        failures, least_seconds=_RETRY_LEAST_SECONDS, most_seconds=_RETRY_MOST_SECONDS, jitter=0.5
    )
