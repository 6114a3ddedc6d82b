"""The parts that tell Prometheus how the agent does."""

from __future__ import annotations

from collections.abc import Iterator

from agent.core.consoles import Consoles
from agent.core.convergence import Convergence
from agent.core.exposition import PREFIX, Exposition
from agent.core.link import Link
from agent.core.works import Works
from agent.host.docker.engine import DockerEngine
from agent.host.machine import MachineReader
from agent.model.identity import LinkPhase
from agent.parts.instruments import Instruments
from agent.parts.logs import LogParts
from agent.settings import Settings
from kit.clock import Clock
from kit.exposition import Family, counter, gauge, histogram
from kit.http.tally import Tally
from kit.loop_lag import LoopLag
from kit.process import fetch_process
from kit.tasks import Tasks


def open_exposition(
    settings: Settings,
    instruments: Instruments,
    *,
    engine: DockerEngine,
    convergence: Convergence,
    works: Works,
    link: Link,
    logs: LogParts,
    consoles: Consoles,
    tally: Tally,
    tasks: Tasks,
    clock: Clock,
    version: str,
) -> Exposition:
    """The exposition; `tasks` runs what measures."""
    lag = LoopLag(clock)
    tasks.start("loop lag", lag.run())

    def tell() -> Iterator[Family]:
        yield from tally.tell(PREFIX)
        load = engine.load
        yield histogram(
            f"{PREFIX}_engine_call_duration_seconds", "Time of calls to the container engine.", ({}, load.seconds)
        )
        for name, help_, count in (
            ("engine_calls_failed_total", "Calls that the container engine refused or did not answer.", load.failed),
            ("link_dials_total", "Times the link was dialled.", link.dials),
        ):
            yield counter(f"{PREFIX}_{name}", help_, ({}, float(count)))
        for name, help_, value in (
            ("loop_lag_seconds", "How late the event loop was at its newest beat.", lag.newest_seconds),
            ("loop_lag_worst_seconds", "The worst of the last minute.", lag.worst_seconds),
            ("engine_calls", "Calls to the container engine that are under way.", load.under_way),
            ("link_up", "Whether controld answers.", link.standing.phase is LinkPhase.UP),
            ("link_answer_age_seconds", "Time since controld answered a heartbeat.", link.find_answer_age()),
            ("happenings_waiting", "Happenings that controld has not confirmed.", link.untold),
            ("actions", "Replicas, jobs and images on which something is being done.", convergence.busy),
            ("works", "Builds and pulls that wait or run.", works.unfinished),
            ("consoles", "Consoles that run.", consoles.running),
            ("consoles_connected", "Consoles that have their client.", consoles.connected),
            ("cgroup_files", "Descriptors that are held for containers.", instruments.open_files()),
            ("tasks", "Tasks of the agent.", len(tasks)),
        ):
            yield gauge(f"{PREFIX}_{name}", help_, ({}, None if value is None else float(value)))
        for name, (help_, read) in logs.gauges().items():
            yield gauge(f"{PREFIX}_{name}", help_, ({}, read()))

    return Exposition(
        instruments.usage,
        host=lambda: instruments.metrics.host,
        machine=MachineReader(settings.proc_dir),
        process=fetch_process,
        own=tell,
        version=version,
    )
