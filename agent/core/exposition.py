"""What the agent tells Prometheus: its replicas, the machine and itself, from the newest sweep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from agent.core.usage import Swept, Usage
from agent.model.machine import MachineCounters
from agent.model.metrics import Reading
from kit.exposition import Family, Sample, counter, gauge
from kit.process import ProcessReading, tell_process
from wire.link import HostReport

PREFIX: Final = "moorage_agent"
_USEC: Final = 1_000_000
_JIFFIES_PER_SECOND: Final = 100


class MachineNumbers(Protocol):
    """Reads what only this page tells of the machine."""

    async def read(self) -> MachineCounters:
        """The counters now."""
        ...


class Exposition:
    """Gathers families when asked; `host` is the newest report, `own` tells of the agent's parts."""

    def __init__(
        self,
        usage: Usage,
        *,
        host: Callable[[], HostReport | None],
        machine: MachineNumbers,
        process: Callable[[], Awaitable[ProcessReading]],
        own: Callable[[], Iterable[Family]],
        version: str,
    ) -> None:
        self._usage = usage
        self._host = host
        self._machine = machine
        self._process = process
        self._own = own
        self._version = version

    async def gather(self) -> list[Family]:
        """Every family; of replicas and the host it tells what the newest sweep has read."""
        host = self._host()
        return [
            *_tell_replicas(self._usage.newest),
            *(_tell_host(host) if host is not None else ()),
            *_tell_machine(await self._machine.read()),
            *tell_process(PREFIX, await self._process(), version=self._version),
            gauge(f"{PREFIX}_sweep_seconds", "Time the newest sweep took.", ({}, self._usage.sweep_seconds)),
            gauge(f"{PREFIX}_replicas", "Replicas that were read.", ({}, float(len(self._usage.newest)))),
            gauge(f"{PREFIX}_history_bytes", "Memory of the past.", ({}, float(self._usage.size_bytes))),
            *self._own(),
        ]


def _tell_replicas(swept: Sequence[Swept]) -> Iterator[Family]:
    known = [(_label(each), each) for each in swept]

    def samples(read: Callable[[Reading], int | None], *, divisor: int = 1) -> tuple[Sample, ...]:
        return tuple(
            (labels, None if (value := read(each.reading)) is None else value / divisor) for labels, each in known
        )

    def devices(*, written: bool) -> tuple[Sample, ...]:
        return tuple(
            ({**labels, "device": io.device}, float(io.written_bytes if written else io.read_bytes))
            for labels, each in known
            for io in each.reading.io or ()
        )

    yield counter(
        "moorage_replica_cpu_seconds_total", "CPU time.", *samples(lambda each: each.cpu_usage_usec, divisor=_USEC)
    )
    yield counter(
        "moorage_replica_cpu_throttled_seconds_total",
        "Time in which the CPU limit held the replica back.",
        *samples(lambda each: each.cpu_throttled_usec, divisor=_USEC),
    )
    yield gauge("moorage_replica_memory_bytes", "Memory in use.", *samples(lambda each: each.memory_current_bytes))
    yield gauge("moorage_replica_memory_anon_bytes", "Anonymous memory.", *samples(lambda each: each.memory.anon_bytes))
    yield gauge(
        "moorage_replica_memory_limit_bytes",
        "Limit of memory.",
        *((labels, float(each.replica.limits.memory_bytes)) for labels, each in known),
    )
    yield gauge("moorage_replica_pids", "Processes and threads.", *samples(lambda each: each.pids))
    yield counter("moorage_replica_oom_kills_total", "Kills for memory.", *samples(lambda each: each.oom_kills))
    yield gauge(
        "moorage_replica_restarts",
        "Restarts by the engine since its container was made.",
        *((labels, float(each.restarts)) for labels, each in known),
    )
    yield counter("moorage_replica_io_read_bytes_total", "Bytes read from devices.", *devices(written=False))
    yield counter("moorage_replica_io_written_bytes_total", "Bytes written to devices.", *devices(written=True))
    yield counter(
        "moorage_replica_network_received_bytes_total",
        "Bytes received.",
        *samples(lambda each: each.network_received_bytes),
    )
    yield counter(
        "moorage_replica_network_sent_bytes_total", "Bytes sent.", *samples(lambda each: each.network_sent_bytes)
    )
    yield counter(
        "moorage_replica_cpu_pressure_seconds_total",
        "Time in which some process waited for CPU.",
        *samples(lambda each: each.cpu_pressure_usec, divisor=_USEC),
    )
    yield counter(
        "moorage_replica_memory_pressure_seconds_total",
        "Time in which some process waited for memory.",
        *samples(lambda each: each.memory_pressure_usec, divisor=_USEC),
    )
    yield counter(
        "moorage_replica_io_pressure_seconds_total",
        "Time in which some process waited for IO.",
        *samples(lambda each: each.io_pressure_usec, divisor=_USEC),
    )


def _label(swept: Swept) -> dict[str, str]:
    replica = swept.replica
    return {
        "project": replica.project,
        "service": replica.service,
        "service_id": replica.service_id,
        "replica_id": replica.id,
        "index": str(replica.index),
    }


def _tell_host(host: HostReport) -> Iterator[Family]:
    modes = {
        "user": host.cpu_user_jiffies,
        "nice": host.cpu_nice_jiffies,
        "system": host.cpu_system_jiffies,
        "idle": host.cpu_idle_jiffies,
        "iowait": host.cpu_iowait_jiffies,
    }
    yield counter(
        "moorage_node_cpu_seconds_total",
        "CPU time of all cores by mode.",
        *(({"mode": mode}, jiffies / _JIFFIES_PER_SECOND) for mode, jiffies in modes.items()),
    )
    yield gauge("moorage_node_memory_bytes", "Memory of the machine.", ({}, float(host.memory_total_bytes)))
    yield gauge(
        "moorage_node_memory_available_bytes", "Memory that can be had.", ({}, float(host.memory_available_bytes))
    )
    yield gauge("moorage_node_disk_bytes", "Size of the watched disk.", ({}, float(host.disk_total_bytes)))
    yield gauge("moorage_node_disk_available_bytes", "Its free space.", ({}, float(host.disk_available_bytes)))
    yield gauge("moorage_node_load1", "Load over a minute.", ({}, host.load_1m))


def _tell_machine(machine: MachineCounters) -> Iterator[Family]:
    waited: list[Sample] = []
    for each in machine.pressure:
        for kind, usec in (("some", each.some_usec), ("full", each.full_usec)):
            waited.append(({"resource": each.resource, "kind": kind}, None if usec is None else usec / _USEC))
    yield counter(
        "moorage_node_pressure_seconds_total",
        "Time in which some processes of the machine, or all that were not idle, waited for a resource.",
        *waited,
    )
    for name, help_, label, traffic, is_in in (
        ("disk_read_bytes", "Bytes read from disks.", "device", machine.disks, True),
        ("disk_written_bytes", "Bytes written to disks.", "device", machine.disks, False),
        ("network_received_bytes", "Bytes received by interfaces.", "interface", machine.interfaces, True),
        ("network_sent_bytes", "Bytes sent by interfaces.", "interface", machine.interfaces, False),
    ):
        yield counter(
            f"moorage_node_{name}_total",
            help_,
            *(({label: each.name}, float(each.in_bytes if is_in else each.out_bytes)) for each in traffic),
        )
