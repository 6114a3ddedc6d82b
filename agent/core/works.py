"""Builds and pulls: work under an id whose events anyone who joins reads from the first one on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from agent.core.faults import ContextMissing, ImageNotFound
from agent.core.ports import Engine
from agent.model.engine import Image
from kit.clock import Clock
from kit.faults import Conflict, Fault, Limited
from kit.tasks import Tasks
from wire.agent.builds import BuildAsked, CloneAsked, PullAsked, WorkDone, WorkEvent, WorkFailed, WorkLine
from wire.spec import Origin

_log = logging.getLogger(__name__)

_MAX_LINES: Final = 20_000
_MAX_LINE_CHARACTERS: Final = 4_096
_KEEP_SECONDS: Final = 3_600.0
_SETTLE_SECONDS: Final = 30.0
_MAX_WORKS: Final = 256
_REVISION_LABEL: Final = "org.opencontainers.image.revision"


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

    def root(self, work_id: str) -> Path:
        """Where the files of a context are to be made that is not staged."""
        ...

    async def locate(self, work_id: str, *, context_path: str, dockerfile_path: str) -> tuple[Path, str]:
        """The build's folder and its Dockerfile in it, in files that were made there."""
        ...

    async def remove(self, work_id: str) -> None:
        """Drop what is kept for the work."""
        ...


class Repositories(Protocol):
    """What clones repositories on this node."""

    async def clone(
        self, asked: CloneAsked, *, root: Path, cpu_millis: int, memory_bytes: int, tell: Callable[[str], None]
    ) -> str:
        """Fill the new folder with a commit's files and return its whole id; nothing of it runs on when it ends."""
        ...


class _Work:
    def __init__(self, asked: BuildAsked | PullAsked) -> None:
        self.asked = _without_secrets(asked)
        self.timeout_seconds = asked.timeout_seconds
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
        repositories: Repositories,
        tasks: Tasks,
        clock: Clock,
        node_id: str,
        registry: str,
        registry_login: tuple[str, str],
        builds_at_once: int,
        note: Callable[[str], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._contexts = contexts
        self._repositories = repositories
        self._tasks = tasks
        self._clock = clock
        self._node_id = node_id
        self._registry = registry
        self._registry_login = registry_login
        self._builds_at_once = builds_at_once
        self._slots = asyncio.Semaphore(builds_at_once)
        self._clones = asyncio.Semaphore(builds_at_once)
        self._note = note
        self._works: dict[str, _Work] = {}

    async def stage(self, work_id: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep the context that a build of this id will read."""
        if (work := self._works.get(work_id)) is not None and work.ended_at is None:
            raise Conflict(f"cannot stage a context for {work_id}: its build is running")
        self._works.pop(work_id, None)
        await self._contexts.stage(work_id, chunks)

    async def build(self, work_id: str, asked: BuildAsked) -> AsyncIterator[WorkEvent]:
        """Start the build, or join it; its events from the first one on. Raises ContextMissing where none is staged."""
        if asked.clone is None and work_id not in self._works and not await self._contexts.has(work_id):
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

    @property
    def unfinished(self) -> int:
        """How many builds and pulls wait or run."""
        return sum(each.ended_at is None for each in self._works.values())

    def list_references(self) -> set[str]:
        """The images, as the engine names them, of work that goes on or has ended so lately that nobody runs them."""
        newest = self._clock.monotonic() - _SETTLE_SECONDS
        asked = [each.asked for each in self._works.values() if each.ended_at is None or each.ended_at > newest]
        names: set[str] = set()
        for one in asked:
            if isinstance(one, BuildAsked):
                names.add(f"{self._registry}/{one.repository}:{one.tag}")
            else:
                names |= {one.image} if one.keep_as is None else {one.image, f"{self._registry}/{one.keep_as}"}
        return names

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
        elif work.asked != _without_secrets(asked):
            raise Conflict(f"cannot start {work_id}: other work was asked for under this id")
        return _read(work)

    async def _run(self, work_id: str, work: _Work, run: Callable[[_Work], Awaitable[WorkDone]]) -> None:
        end: WorkDone | WorkFailed = WorkFailed(code="cancelled", message="cannot finish the work: it was cancelled")
        try:
            async with asyncio.timeout(work.timeout_seconds):
                end = await run(work)
        except TimeoutError:
            seconds = work.timeout_seconds
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
        commit = None if asked.clone is None else await self._clone(work_id, asked, asked.clone, work=work)
        if self._slots.locked():
            work.tell(f"waiting: {self._builds_at_once} builds are running on this node")
        reference = f"{self._registry}/{asked.repository}:{asked.tag}"
        async with self._slots:
            find = self._contexts.unpack if commit is None else self._contexts.locate
            folder, dockerfile = await find(
                work_id, context_path=asked.context_path, dockerfile_path=asked.dockerfile_path
            )
            labels = {"moorage.node": self._node_id}
            if commit is not None:
                labels[_REVISION_LABEL] = commit
            lines = self._engine.build_image(
                folder,
                dockerfile=dockerfile,
                tag=reference,
                labels=labels,
                cpu_millis=asked.limits.cpu_millis,
                memory_bytes=asked.limits.memory_bytes,
            )
            async for line in lines:
                work.tell(line)
            if not asked.push:
                return await self._keep_here(reference, commit=commit)
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
            commit=commit,
        )

    async def _keep_here(self, reference: str, *, commit: str | None) -> WorkDone:
        image = await self._engine.find_image(reference)
        if image is None:
            raise ImageNotFound(f"cannot finish the build: the engine has lost {reference}")
        return WorkDone(
            image=image.id, origin=Origin.LOCAL, digest=image.id, size_bytes=image.size_bytes, commit=commit
        )

    async def _clone(self, work_id: str, asked: BuildAsked, clone: CloneAsked, *, work: _Work) -> str:
        if self._clones.locked():
            work.tell(f"waiting: {self._builds_at_once} repositories are being cloned on this node")
        async with self._clones:
            return await self._repositories.clone(
                clone,
                root=self._contexts.root(work_id),
                cpu_millis=asked.limits.cpu_millis,
                memory_bytes=asked.limits.memory_bytes,
                tell=work.tell,
            )

    async def _pull(self, asked: PullAsked, *, work: _Work) -> WorkDone:
        if asked.keep_as is not None:
            return await self._pull_to_keep(asked, asked.keep_as, work=work)
        present = await self._engine.find_image(asked.image)
        if present is not None and not present.digests and asked.login is None:
            work.tell(f"using {asked.image} as this node's engine holds it: it comes from no registry")
            return WorkDone(image=present.id, origin=Origin.LOCAL, digest=present.id, size_bytes=present.size_bytes)
        # The registry is asked though the image may be here: somebody else's sign-in may have brought it.
        present = await self._fetch(asked, work=work)
        image = _choose_digest(asked.image, present.digests)
        return WorkDone(
            image=image, origin=Origin.EXTERNAL, digest=image.partition("@")[2], size_bytes=present.size_bytes
        )

    async def _pull_to_keep(self, asked: PullAsked, keep_as: str, *, work: _Work) -> WorkDone:
        """Pull it, push it to the hosted registry, and leave it here under that name alone."""
        known = await self._engine.find_image(asked.image)
        pulled = await self._fetch(asked, work=work)
        reference = f"{self._registry}/{keep_as}"
        await self._note(reference)
        await self._engine.tag_image(pulled.id, reference)
        work.tell(f"pushing {keep_as}")
        digest = await self._engine.push_image(
            reference, login=self._registry_login, timeout_seconds=asked.timeout_seconds
        )
        if known is None:
            await self._engine.remove_image(asked.image)
        return WorkDone(
            image=f"{keep_as.rpartition(':')[0]}@{digest}",
            origin=Origin.HOSTED,
            digest=_choose_digest(asked.image, pulled.digests).partition("@")[2],
            size_bytes=pulled.size_bytes,
        )

    async def _fetch(self, asked: PullAsked, *, work: _Work) -> Image:
        work.tell(f"pulling {asked.image}")
        login = asked.login
        return await self._engine.pull_image(
            asked.image,
            login=None if login is None or login.token is not None else (login.username, login.password),
            timeout_seconds=asked.timeout_seconds,
            bearer=None if login is None else login.token,
        )

    def _forget_old(self) -> None:
        oldest = self._clock.monotonic() - _KEEP_SECONDS
        for work_id in [
            key for key, work in self._works.items() if work.ended_at is not None and work.ended_at < oldest
        ]:
            del self._works[work_id]


def _without_secrets(asked: BuildAsked | PullAsked) -> BuildAsked | PullAsked:
    """What was asked for, as it may be kept: the same work is the same with another key."""
    if isinstance(asked, PullAsked):
        return msgspec.structs.replace(asked, login=None)
    if asked.clone is None:
        return asked
    return msgspec.structs.replace(asked, clone=msgspec.structs.replace(asked.clone, credential=None))


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
