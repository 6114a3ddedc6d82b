"""Readings of the node and of the replicas that run on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from agent.core.ports import Engine
from agent.model import labels
from agent.model.engine import Container, EngineEvent, EventKind
from agent.model.metrics import DeviceIo, Reading, ReadingSource, Target
from wire.agent import metrics as messages
from wire.agent.metrics import ReplicaMetrics, ServiceMetrics
from wire.link import HostReport
from wire.spec import NodeSpec, Replica


class ContainerReader(Protocol):
    """Reads what running containers use."""

    async def read(self, targets: Sequence[Target]) -> list[Reading]:
        """A reading of each container, in order."""
        ...

    async def keep(self, container_ids: Collection[str]) -> None:
        """Let go of what is held for every container but these."""
        ...

    async def drop(self, container_ids: Collection[str]) -> None:
        """Let go of what is held for these containers."""
        ...


class HostNumbers(Protocol):
    """Reads numbers of the machine."""

    async def read(self) -> HostReport:
        """The numbers now; raises HostUnreadable."""
        ...


class Metrics:
    """Reads when asked; `spec` says what the node should run. `note_event` has to hear the engine's events."""

    def __init__(
        self,
        engine: Engine,
        containers: ContainerReader,
        host: HostNumbers,
        *,
        spec: Callable[[], NodeSpec | None],
    ) -> None:
        self._engine = engine
        self._containers = containers
        self._host = host
        self._spec = spec
        self._oom_events: dict[str, int] = {}
        self._ended: set[str] = set()
        self.host: HostReport | None = None
        """The newest numbers of the machine; None before the first `sample`."""

    def note_event(self, event: EngineEvent) -> None:
        """Count OOM kills, whose cgroup goes with the container that they end; note which containers ended."""
        if event.kind in {EventKind.CONTAINER_DIED, EventKind.CONTAINER_DESTROYED} and event.container_id is not None:
            self._ended.add(event.container_id)
        replica_id = dict(event.labels).get(labels.REPLICA)
        if event.kind is EventKind.CONTAINER_OOM and replica_id is not None:
            self._oom_events[replica_id] = self._oom_events.get(replica_id, 0) + 1

    async def sample(self) -> None:
        """Read the machine into `host`, and let go of what belongs to containers and replicas that are gone."""
        ended, self._ended = self._ended, set()
        await self._containers.drop(ended)
        wanted = {replica.id for replica in self._replicas(None)}
        for gone in self._oom_events.keys() - wanted:
            del self._oom_events[gone]
        self.host = await self._host.read()

    async def read_service(self, service_id: str | None) -> ServiceMetrics:
        """Readings of the replicas that run here, of one service or (None) of all, in the order of the spec."""
        listed = await self._engine.list_containers()
        await self._containers.keep({container.id for container in listed if container.pid is not None})
        running = {
            replica_id: container
            for container in listed
            if container.pid is not None and (replica_id := container.label(labels.REPLICA)) is not None
        }
        replicas = [replica for replica in self._replicas(service_id) if replica.id in running]
        readings = await self._containers.read(
            [
                Target(container_id=container.id, pid=container.pid)
                for container in (running[replica.id] for replica in replicas)
                if container.pid is not None
            ]
        )
        return ServiceMetrics(
            replicas=tuple(
                self._describe(replica, running[replica.id], reading)
                for replica, reading in zip(replicas, readings, strict=True)
            )
        )

    def _replicas(self, service_id: str | None) -> list[Replica]:
        spec = self._spec()
        replicas = spec.replicas if spec is not None else ()
        return [replica for replica in replicas if service_id in {None, replica.service_id}]

    def _describe(self, replica: Replica, container: Container, reading: Reading) -> ReplicaMetrics:
        counted = self._oom_events.get(replica.id)
        known = [count for count in (reading.oom_kills, counted) if count is not None]
        return ReplicaMetrics(
            replica_id=replica.id,
            deployment_id=replica.deployment_id,
            index=replica.index,
            recorded_at=reading.recorded_at,
            cpu_usage_usec=reading.cpu_usage_usec,
            cpu_source=_word(reading.cpu_source),
            memory_current_bytes=reading.memory_current_bytes,
            memory_source=_word(reading.memory_source),
            cpu_limit_millis=replica.limits.cpu_millis,
            memory_limit_bytes=replica.limits.memory_bytes,
            pids=reading.pids,
            oom_kills=max(known) if known else None,
            restarts=container.restarts,
            network_received_bytes=reading.network_received_bytes,
            network_sent_bytes=reading.network_sent_bytes,
            network_source=_word(reading.network_source),
            cpu_user_usec=reading.cpu_user_usec,
            cpu_system_usec=reading.cpu_system_usec,
            cpu_throttled_usec=reading.cpu_throttled_usec,
            memory_peak_bytes=reading.memory.peak_bytes,
            memory_anon_bytes=reading.memory.anon_bytes,
            memory_file_bytes=reading.memory.file_bytes,
            memory_kernel_bytes=reading.memory.kernel_bytes,
            swap_bytes=reading.memory.swap_bytes,
            io_devices=_tell_devices(reading.io),
            io_source=_word(reading.io_source),
            cpu_pressure_usec=reading.cpu_pressure_usec,
            memory_pressure_usec=reading.memory_pressure_usec,
            io_pressure_usec=reading.io_pressure_usec,
        )


def _word(source: ReadingSource | None) -> str | None:
    return source.value if source else None


def _tell_devices(io: tuple[DeviceIo, ...] | None) -> tuple[messages.DeviceIo, ...] | None:
    if io is None:
        return None
    return tuple(
        messages.DeviceIo(device=each.device, read_bytes=each.read_bytes, written_bytes=each.written_bytes)
        for each in io
    )
