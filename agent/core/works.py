"""Builds and pulls: work under an id whose events anyone who joins reads from the first one on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from agent.core.faults import ContextMissing
from agent.core.ports import Engine
from kit.clock import Clock
from kit.faults import Conflict, Fault, Limited
from kit.tasks import Tasks
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed, WorkLine
from wire.spec import Origin

_log = logging.getLogger(__name__)

_MAX_LINES: Final = 20_000
_MAX_LINE_CHARACTERS: Final = 4_096
_KEEP_SECONDS: Final = 3_600.0
_MAX_WORKS: Final = 256


class Contexts(Protocol):
    """Where build contexts are staged."""

    async def stage(self, work_id: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep an archive for the work."""
        ...

    async def has(self, work_id: str) -> bool:
        """Whether one is kept."""
        ...

    async def unpack(self, work_id: str, *, context_path: str, dockerfile_path: str) -> tuple[Path, str]:
        """The build's folder and its Dockerfile in it."""
        ...

    async def remove(self, work_id: str) -> None:
        """Drop what is kept for the work."""
        ...


class _Work:
    def __init__(self, asked: BuildAsked | PullAsked) -> None:
        self.asked = asked
        self.events: list[WorkEvent] = []
        self.dropped = 0
        self.ended_at: float | None = None
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def tell(self, text: str) -> None:
        if len(self.events) >= _MAX_LINES:
            self.dropped += 1
            return
        self._add(WorkLine(text=text[:_MAX_LINE_CHARACTERS]))

    def end(self, event: WorkDone | WorkFailed, *, at: float) -> None:
        if self.dropped:
            self._add(WorkLine(text=f"[{self.dropped} more lines were dropped]"))
        self._add(event)
        self.ended_at = at

    def _add(self, event: WorkEvent) -> None:
        self.events.append(event)
        self.changed.set()
        self.changed = asyncio.Event()


class Works:
    """Runs builds and pulls, a few at a time; each under an id, started once however often it is asked for."""

    def __init__(
        self,
        *,
        engine: Engine,
        contexts: Contexts,
        tasks: Tasks,
        clock: Clock,
        node_id: str,
        registry: str,
        registry_login: tuple[str, str],
        builds_at_once: int,
    ) -> None:
        self._engine = engine
        self._contexts = contexts
        self._tasks = tasks
        self._clock = clock
        self._node_id = node_id
        self._registry = registry
        self._registry_login = registry_login
        self._builds_at_once = builds_at_once
        self._slots = asyncio.Semaphore(builds_at_once)
        self._works: dict[str, _Work] = {}

    async def stage(self, work_id: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep the context that a build of this id will read."""
        if (work := self._works.get(work_id)) is not None and work.ended_at is None:
            raise Conflict(f"cannot stage a context for {work_id}: its build is running")
        self._works.pop(work_id, None)
        await self._contexts.stage(work_id, chunks)

    async def build(self, work_id: str, asked: BuildAsked) -> AsyncIterator[WorkEvent]:
        """Start the build, or join it; its events from the first one on. Raises ContextMissing where none is staged."""
        if work_id not in self._works and not await self._contexts.has(work_id):
            raise ContextMissing(f"cannot build {work_id}: its context is not staged on this node")
        return self._join(work_id, asked, lambda work: self._build(work_id, asked, work=work))

    def pull(self, work_id: str, asked: PullAsked) -> AsyncIterator[WorkEvent]:
        """Start the pull, or join it; its events from the first one on."""
        return self._join(work_id, asked, lambda work: self._pull(asked, work=work))

    async def cancel(self, work_id: str) -> None:
        """Stop the work for certain, forget it and drop its context; an unknown id is fine."""
        work = self._works.pop(work_id, None)
        if work is not None and work.task is not None and not work.task.done():
            work.task.cancel()
            await asyncio.wait([work.task])
        await self._contexts.remove(work_id)

    def _join(
        self, work_id: str, asked: BuildAsked | PullAsked, run: Callable[[_Work], Awaitable[WorkDone]]
    ) -> AsyncIterator[WorkEvent]:
        self._forget_old()
        work = self._works.get(work_id)
        if work is None:
            if len(self._works) >= _MAX_WORKS:
                raise Limited(
                    f"cannot start {work_id}: this node holds {_MAX_WORKS} builds and pulls", retry_after_seconds=10
                )
            work = self._works[work_id] = _Work(asked)
            work.task = self._tasks.start(f"work-{work_id}", self._run(work_id, work, run))
        elif work.asked != asked:
            raise Conflict(f"cannot start {work_id}: other work was asked for under this id")
        return _read(work)

    async def _run(self, work_id: str, work: _Work, run: Callable[[_Work], Awaitable[WorkDone]]) -> None:
        end: WorkDone | WorkFailed = WorkFailed(code="cancelled", message="cannot finish the work: it was cancelled")
        try:
            async with asyncio.timeout(work.asked.timeout_seconds):
                end = await run(work)
        except TimeoutError:
            seconds = work.asked.timeout_seconds
            end = WorkFailed(code="timed_out", message=f"cannot finish within {seconds:g} seconds: it was stopped")
        except Fault as fault:
            end = WorkFailed(code=fault.code, message=fault.message)
        except Exception:  # noqa: BLE001 - whoever waits for this work must be told that it ended
            _log.exception("work failed", extra={"work": work_id})
            end = WorkFailed(code="internal", message="cannot finish the work: the agent failed; its log says why")
        finally:
            work.end(end, at=self._clock.monotonic())
            await self._contexts.remove(work_id)

    async def _build(self, work_id: str, asked: BuildAsked, *, work: _Work) -> WorkDone:
        if self._slots.locked():
            work.tell(f"waiting: {self._builds_at_once} builds are running on this node")
        reference = f"{self._registry}/{asked.repository}:{asked.tag}"
        async with self._slots:
            folder, dockerfile = await self._contexts.unpack(
                work_id, context_path=asked.context_path, dockerfile_path=asked.dockerfile_path
            )
            lines = self._engine.build_image(
                folder,
                dockerfile=dockerfile,
                tag=reference,
                labels={"moorage.node": self._node_id},
                cpu_millis=asked.limits.cpu_millis,
                memory_bytes=asked.limits.memory_bytes,
            )
            async for line in lines:
                work.tell(line)
            work.tell(f"pushing {asked.repository}:{asked.tag}")
            digest = await self._engine.push_image(
                reference, login=self._registry_login, timeout_seconds=asked.timeout_seconds
            )
        image = await self._engine.find_image(reference)
        return WorkDone(
            image=f"{asked.repository}@{digest}",
            origin=Origin.HOSTED,
            digest=digest,
            size_bytes=image.size_bytes if image else None,
        )

    async def _pull(self, asked: PullAsked, *, work: _Work) -> WorkDone:
        present = await self._engine.find_image(asked.image)
        if present is not None and not present.digests:
            work.tell(f"using {asked.image} as this node's engine holds it: it comes from no registry")
            return WorkDone(image=present.id, origin=Origin.LOCAL, digest=present.id, size_bytes=present.size_bytes)
        if present is None or "@sha256:" not in asked.image:
            work.tell(f"pulling {asked.image}")
            login = (asked.login.username, asked.login.password) if asked.login else None
            present = await self._engine.pull_image(asked.image, login=login, timeout_seconds=asked.timeout_seconds)
        image = _choose_digest(asked.image, present.digests)
        return WorkDone(
            image=image, origin=Origin.EXTERNAL, digest=image.partition("@")[2], size_bytes=present.size_bytes
        )

    def _forget_old(self) -> None:
        oldest = self._clock.monotonic() - _KEEP_SECONDS
        for work_id in [
            key for key, work in self._works.items() if work.ended_at is not None and work.ended_at < oldest
        ]:
            del self._works[work_id]


async def _read(work: _Work) -> AsyncIterator[WorkEvent]:
    position = 0
    while True:
        changed = work.changed
        while position < len(work.events):
            yield work.events[position]
            position += 1
        if work.ended_at is not None:
            return
        await changed.wait()


def _choose_digest(reference: str, digests: tuple[str, ...]) -> str:
    """The digest that belongs to the repository asked for; the engine names every registry the image came from."""
    repository = reference.partition("@")[0]
    name, colon, tag = repository.rpartition(":")
    if colon and "/" not in tag:
        repository = name
    short = repository.removeprefix("docker.io/").removeprefix("library/")
    for digest in digests:
        if digest.partition("@")[0].removeprefix("docker.io/").removeprefix("library/") == short:
            return digest
    return digests[0]
