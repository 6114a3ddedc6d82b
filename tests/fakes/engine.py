"""A container engine in memory, whose containers, images and failures a test decides."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import hashlib
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path

from agent.core.faults import (
    ContainerGone,
    ContainerNameTaken,
    EngineUnavailable,
    ImageNotFound,
    NotOurs,
    PushFailed,
    StartFailed,
)
from agent.model.engine import (
    Container,
    ContainerSpec,
    ContainerState,
    EngineEvent,
    EngineInfo,
    EventKind,
    HeldImage,
    Image,
    LoggedLine,
    RawLine,
)
from agent.rules.engine_containers import NODE_LABEL
from agent.rules.log_lines import render_lines
from kit.clock import Clock
from kit.faults import Fault

_RUNNING = {ContainerState.RUNNING, ContainerState.PAUSED}
_MOMENT = dt.timedelta(microseconds=1)


class FakeEngine:
    """Fulfils `agent.core.ports.Engine`; the public attributes and the methods below `close` are the test's levers.

    `registry` maps references to the image that a pull brings, or to the fault it ends with; `images` those present.
    `start_errors` maps an image to what the engine says instead of starting it; `exits` to the code that a container
    of it ends with at once. `down` makes every call raise EngineUnavailable.
    """

    def __init__(self, node_id: str, *, clock: Clock) -> None:
        self.node_id = node_id
        self.down = False
        self.start_seconds = 0.0
        self.registry: dict[str, Image | Fault] = {}
        self.images: dict[str, Image] = {}
        self.built: dict[str, HeldImage] = {}
        self.networks: set[str] = set()
        self.start_errors: dict[str, str] = {}
        self.exits: dict[str, int] = {}
        self.build_lines: list[str] = ["Step 1/1 : FROM scratch"]
        self.build_fault: Fault | None = None
        self.build_seconds = 0.0
        self.cancelled_builds: list[str] = []
        self.built_labels: dict[str, str] = {}
        self.specs: dict[str, ContainerSpec] = {}
        self.pulls: list[tuple[str, str | tuple[str, str] | None]] = []
        self.pushed: dict[str, str] = {}
        self._clock = clock
        self._containers: dict[str, Container] = {}
        self._logs: dict[str, list[RawLine]] = {}
        self._numbers = itertools.count(1)
        self._events: list[EngineEvent] = []
        self._connection = 0
        self._changed = asyncio.Condition()
        self._last = clock.now()

    async def fetch_info(self) -> EngineInfo:
        self._check()
        return EngineInfo(
            version="28.0.0", api_version="1.48", cgroup_version="2", cgroup_driver="systemd", storage_driver="overlay2"
        )

    async def list_containers(self) -> tuple[Container, ...]:
        self._check()
        ours = [container for container in self._containers.values() if container.label(NODE_LABEL) == self.node_id]
        return tuple(sorted(ours, key=lambda container: container.name))

    async def create_container(self, spec: ContainerSpec) -> str:
        self._check()
        image = self._find(spec.image)
        if image is None:
            raise ImageNotFound(f"cannot create container {spec.name}: the engine has no image {spec.image}")
        for other in [container for container in self._containers.values() if container.name == spec.name]:
            if other.label(NODE_LABEL) != self.node_id:
                raise ContainerNameTaken(f"cannot create container {spec.name}: it is not ours")
            await self.remove_container(other.id)
        id_ = hashlib.sha256(f"{self.node_id}-{next(self._numbers)}".encode()).hexdigest()
        self.specs[id_] = spec
        self._logs[id_] = []
        self._containers[id_] = Container(
            id=id_,
            name=spec.name,
            labels=tuple(sorted({**dict(spec.labels), NODE_LABEL: self.node_id}.items())),
            state=ContainerState.CREATED,
            image_id=image.id,
            pid=None,
            ip=None,
            exit_code=None,
            oom_killed=False,
            restarts=0,
            started_at=None,
            finished_at=None,
            error=None,
        )
        await self._tell(EventKind.CONTAINER_OTHER, id_)
        return id_

    async def start_container(self, container_id: str) -> None:
        container = self._own(container_id)
        if container.state is ContainerState.RUNNING:
            return
        spec = self.specs[container_id]
        if self.start_seconds:
            await self._clock.sleep(self.start_seconds)
        if (error := self.start_errors.get(spec.image)) is not None:
            self._change(container_id, exit_code=128, error=error)
            raise StartFailed(f"cannot start container {container_id[:12]}: {error}")
        await self._run(container_id, restarts=0)
        if (code := self.exits.get(spec.image)) is not None:
            await self.exit_container(container_id, code)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        try:
            container = self._own(container_id)
        except ContainerGone:
            return
        if container.state in _RUNNING or container.state is ContainerState.RESTARTING:
            await self.exit_container(container_id, 143)
            self._change(container_id, state=ContainerState.EXITED)
            await self._tell(EventKind.CONTAINER_OTHER, container_id)

    async def remove_container(self, container_id: str) -> None:
        try:
            container = self._own(container_id)
        except ContainerGone:
            return
        if container.state in _RUNNING:
            await self.exit_container(container_id, 137)
        await self._tell(EventKind.CONTAINER_DESTROYED, container_id)
        del self._containers[container_id]
        await self._wake()

    async def ensure_network(self, name: str) -> None:
        self._check()
        self.networks.add(name)

    async def find_image(self, reference: str) -> Image | None:
        self._check()
        return self._find(reference)

    async def list_images(self) -> tuple[HeldImage, ...]:
        self._check()
        names = {id_: tuple(name for name, image in self.images.items() if image.id == id_) for id_ in self.built}
        return tuple(
            dataclasses.replace(held, references=(*names[id_], *held.references))
            for id_, held in self.built.items()
            if names[id_]
        )

    async def pull_image(
        self,
        reference: str,
        *,
        login: tuple[str, str] | None,
        timeout_seconds: float,
        progress: Callable[[str], None] | None = None,
        bearer: str | None = None,
    ) -> Image:
        self._check()
        self.pulls.append((reference, bearer or login))
        found = self.registry.get(reference)
        if found is None:
            raise ImageNotFound(f"cannot pull image {reference}: manifest unknown")
        if isinstance(found, Fault):
            raise found
        if progress is not None:
            progress(f"Pulling {reference}")
        self.images[reference] = found
        return found

    async def push_image(self, reference: str, *, login: tuple[str, str] | None, timeout_seconds: float) -> str:
        self._check()
        image = self._find(reference)
        if image is None:
            raise ImageNotFound(f"cannot push image {reference}: it does not exist")
        if isinstance(fault := self.registry.get(reference), Fault):
            raise fault if isinstance(fault, PushFailed) else PushFailed(fault.message)
        self.pushed[reference] = digest = "sha256:" + hashlib.sha256(image.id.encode()).hexdigest()
        return digest

    async def tag_image(self, image_id: str, reference: str) -> None:
        self._check()
        image = self._find(image_id)
        if image is None:
            raise ImageNotFound(f"cannot tag image {image_id} as {reference}: no such image")
        self.images[reference] = image

    async def build_image(
        self,
        context: Path,
        *,
        dockerfile: str,
        tag: str,
        labels: Mapping[str, str],
        cpu_millis: int,
        memory_bytes: int,
    ) -> AsyncGenerator[str]:
        self._check()
        self.built_labels = dict(labels)
        ended = False
        try:
            for line in self.build_lines:
                yield line
            if self.build_seconds:
                await self._clock.sleep(self.build_seconds)
            ended = True
        finally:
            if not ended:
                self.cancelled_builds.append(tag)
        if self.build_fault is not None:
            raise self.build_fault
        image = self.add_image(tag)
        self.built[image.id] = HeldImage(
            id=image.id,
            references=image.digests,
            node_id=self.node_id,
            created_at=self._clock.now(),
            size_bytes=image.size_bytes,
        )

    async def remove_image(self, reference: str) -> None:
        self._check()
        self.images.pop(reference, None)

    async def watch_events(self, *, since: dt.datetime | None = None) -> AsyncGenerator[EngineEvent]:
        position = len(self._events)
        if since is not None:
            position = next((n for n, event in enumerate(self._events) if event.at >= since), position)
        connection: int | None = None
        while True:
            if connection != self._connection and not self.down:
                connection = self._connection
                yield EngineEvent(kind=EventKind.RESYNC, at=self._clock.now(), container_id=None)
            while position < len(self._events) and not self.down:
                position += 1
                yield self._events[position - 1]
            async with self._changed:
                if self.down or (position == len(self._events) and connection == self._connection):
                    await self._changed.wait()

    async def read_log(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        self._own(container_id)
        lines = self._logs[container_id]
        position = 0 if tail is None else max(0, len(lines) - tail)
        while True:
            while position < len(lines):
                position += 1
                if since is None or lines[position - 1].at >= since:
                    yield render_lines(lines[position - 1 : position])
            if not follow or (here := self._containers.get(container_id)) is None or here.state not in _RUNNING:
                return
            async with self._changed:
                if position == len(lines):
                    await self._changed.wait()

    async def close(self) -> None:
        """Nothing is open."""

    def add_image(self, reference: str, *, digests: tuple[str, ...] = ()) -> Image:
        """Make an image be present under the reference."""
        id_ = "sha256:" + hashlib.sha256(f"{reference}-{next(self._numbers)}".encode()).hexdigest()
        image = self.images[reference] = Image(id=id_, digests=digests, size_bytes=1_000_000)
        return image

    def add_foreign(self, name: str) -> str:
        """Put a container there that is not this node's; its id."""
        id_ = hashlib.sha256(f"foreign-{next(self._numbers)}".encode()).hexdigest()
        self._containers[id_] = Container(
            id=id_,
            name=name,
            labels=(),
            state=ContainerState.RUNNING,
            image_id="sha256:foreign",
            pid=4000,
            ip="172.30.0.2",
            exit_code=None,
            oom_killed=False,
            restarts=0,
            started_at=self._clock.now(),
            finished_at=None,
            error=None,
        )
        return id_

    def exists(self, container_id: str) -> bool:
        """Whether the engine has the container, ours or not."""
        return container_id in self._containers

    async def exit_container(self, container_id: str, code: int, *, oom_killed: bool = False) -> None:
        """Let it end by itself; with a restart policy it is restarting until `restart_container`."""
        if oom_killed:
            await self._tell(EventKind.CONTAINER_OOM, container_id)
        self._change(
            container_id,
            state=ContainerState.RESTARTING if self.specs[container_id].restarts else ContainerState.EXITED,
            pid=None,
            ip=None,
            exit_code=code,
            oom_killed=oom_killed,
            finished_at=self._clock.now(),
        )
        await self._tell(EventKind.CONTAINER_DIED, container_id, exit_code=code)

    async def restart_container(self, container_id: str) -> None:
        """Let the restart policy start it again, with another address."""
        await self._run(container_id, restarts=self._containers[container_id].restarts + 1)

    async def write_log(self, container_id: str, text: bytes, *, stream: str = "stdout") -> None:
        """Let it write a line."""
        self._logs[container_id].append(RawLine(at=self._tick(), stream=stream, text=text))
        await self._wake()

    async def reconnect(self) -> None:
        """Cut every watch on the events; each finds its way back at once."""
        self._connection += 1
        await self._wake()

    async def set_down(self, down: bool) -> None:
        """Take the engine away, or bring it back; watches resume with a RESYNC."""
        self.down = down
        self._connection += 1
        await self._wake()

    def _check(self) -> None:
        if self.down:
            raise EngineUnavailable("cannot reach the container engine: is dockerd running?")

    def _own(self, container_id: str) -> Container:
        self._check()
        container = self._containers.get(container_id)
        if container is None:
            raise ContainerGone(f"cannot find container {container_id[:12]}: the engine has no such container")
        if container.label(NODE_LABEL) != self.node_id:
            raise NotOurs(f"cannot touch container {container_id[:12]}: it is not ours")
        return container

    def _find(self, reference: str) -> Image | None:
        for name, image in self.images.items():
            if reference in {name, image.id, *image.digests}:
                return image
        return None

    async def _run(self, container_id: str, *, restarts: int) -> None:
        number = next(self._numbers)
        self._change(
            container_id,
            state=ContainerState.RUNNING,
            pid=1000 + number,
            ip=f"172.30.{number // 250 + 1}.{number % 250 + 2}",
            exit_code=None,
            oom_killed=False,
            restarts=restarts,
            started_at=self._clock.now(),
            error=None,
        )
        await self._tell(EventKind.CONTAINER_STARTED, container_id)

    def _change(self, container_id: str, **fields: object) -> None:
        # Field names and types are those of Container, as its constructor checks when a test runs.
        self._containers[container_id] = dataclasses.replace(self._containers[container_id], **fields)  # type: ignore[arg-type]

    async def _tell(self, kind: EventKind, container_id: str, *, exit_code: int | None = None) -> None:
        container = self._containers[container_id]
        self._events.append(
            EngineEvent(
                kind=kind, at=self._tick(), container_id=container_id, labels=container.labels, exit_code=exit_code
            )
        )
        await self._wake()

    def _tick(self) -> dt.datetime:
        self._last = max(self._clock.now(), self._last + _MOMENT)
        return self._last

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()
