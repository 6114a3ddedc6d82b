"""The node's Docker Engine, as the core wants it."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from agent.host.docker.builds import EngineBuilds
from agent.host.docker.containers import EngineContainers
from agent.host.docker.events import EngineEvents
from agent.host.docker.execs import EngineExecs
from agent.host.docker.images import EngineImages
from agent.host.docker.load import CallLoad
from agent.host.docker.logs import EngineLogs
from agent.host.docker.session import EngineSession
from agent.host.processes import ProcessTable
from agent.model.engine import Container, ContainerSpec, EngineEvent, EngineInfo, HeldImage, Image, LoggedLine
from kit.clock import Clock


class DockerEngine:
    """Fulfils `agent.core.ports.Engine` with the Docker Engine that listens on the unix socket.

    Logs of containers are kept in `log_files` files of `log_max_bytes` each. A call
    ends within `call_timeout_seconds`, a stop within its grace beyond that. `jitter` gives numbers from 0 to 1, and
    `admit_pull` raises for what must not be pulled. With `log_by_file` logs are read from the engine's own files where
    they are in reach. It has to be closed, and its parts start with the first call, on
    that call's loop.
    """

    def __init__(
        self,
        socket: Path,
        node_id: str,
        *,
        clock: Clock,
        log_max_bytes: int = 20 * 1024 * 1024,
        log_files: int = 3,
        call_timeout_seconds: float = 30.0,
        jitter: Callable[[], float] = random.random,
        proc_dir: Path = Path("/proc"),
        admit_pull: Callable[[str], Awaitable[None]] | None = None,
        log_by_file: bool = True,
    ) -> None:
        self._session = EngineSession(socket, call_timeout_seconds=call_timeout_seconds)
        self._containers = EngineContainers(
            self._session, node_id=node_id, log_max_bytes=log_max_bytes, log_files=log_files
        )
        self._images = EngineImages(self._session)
        self._builds = EngineBuilds(self._session, node_id=node_id)
        self._events = EngineEvents(self._session, node_id=node_id, clock=clock, jitter=jitter)
        self._logs = EngineLogs(self._session, self._containers, by_file=log_by_file)
        self.shells = EngineExecs(
            self._session, self._containers, processes=ProcessTable(proc_dir, clock=clock), clock=clock
        )
        """Opens consoles."""
        self._drivers: tuple[str, EngineInfo] | None = None
        self._admit_pull = admit_pull

    @property
    def load(self) -> CallLoad:
        """The calls that are under way, and how long they took."""
        return self._session.load

    async def fetch_info(self) -> EngineInfo:
        version = await self._session.fetch_version()
        known = str(version)
        if self._drivers is None or self._drivers[0] != known:
            # It counts all containers and images of the engine, so it is asked once for each version of it.
            said = await self._session.call("GET", "/info", doing="ask for its drivers")
            info = EngineInfo(
                version=version["Version"],
                api_version=version["ApiVersion"],
                cgroup_version=said.get("CgroupVersion") or "1",
                cgroup_driver=said.get("CgroupDriver") or "cgroupfs",
                storage_driver=said.get("Driver") or "",
            )
            self._drivers = (known, info)
        return self._drivers[1]

    async def list_containers(self) -> tuple[Container, ...]:
        return await self._containers.list()

    async def create_container(self, spec: ContainerSpec) -> str:
        return await self._containers.create(spec)

    async def start_container(self, container_id: str) -> None:
        await self._containers.start(container_id)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        await self._containers.stop(container_id, grace_seconds=grace_seconds)

    async def remove_container(self, container_id: str) -> None:
        await self._containers.remove(container_id)

    async def ensure_network(self, name: str) -> None:
        await self._containers.ensure_network(name)

    async def find_image(self, reference: str) -> Image | None:
        return await self._images.find(reference)

    async def list_images(self) -> tuple[HeldImage, ...]:
        return await self._images.list()

    async def pull_image(
        self,
        reference: str,
        *,
        login: tuple[str, str] | None,
        timeout_seconds: float,
        progress: Callable[[str], None] | None = None,
        bearer: str | None = None,
    ) -> Image:
        if self._admit_pull is not None:
            await self._admit_pull(reference)
        return await self._images.pull(
            reference, login=login, timeout_seconds=timeout_seconds, progress=progress, bearer=bearer
        )

    async def push_image(self, reference: str, *, login: tuple[str, str] | None, timeout_seconds: float) -> str:
        return await self._images.push(reference, login=login, timeout_seconds=timeout_seconds)

    async def tag_image(self, image_id: str, reference: str) -> None:
        await self._images.tag(image_id, reference)

    def build_image(
        self,
        context: Path,
        *,
        dockerfile: str,
        tag: str,
        labels: Mapping[str, str],
        cpu_millis: int,
        memory_bytes: int,
    ) -> AsyncGenerator[str]:
        return self._builds.build(
            context, dockerfile=dockerfile, tag=tag, labels=labels, cpu_millis=cpu_millis, memory_bytes=memory_bytes
        )

    async def remove_image(self, reference: str) -> None:
        await self._images.remove(reference)

    async def watch_events(self, *, since: dt.datetime | None = None) -> AsyncGenerator[EngineEvent]:
        async with contextlib.aclosing(self._events.watch(since)) as events:
            async for event in events:
                if event.container_id is not None:
                    self._containers.forget(event.container_id)
                yield event

    def read_log(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        return self._logs.read(container_id, tail=tail, since=since, follow=follow)

    async def close(self) -> None:
        """Close every connection; streams that are open end with EngineUnavailable."""
        await self._session.close()
