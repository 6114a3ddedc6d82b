"""The parts that read logs and keep those of containers that are gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from agent.core.log_archive import LogArchive
from agent.core.logs import Logs
from agent.core.ports import Engine
from agent.host.log_archive import DiskLogArchive
from agent.loops.log_sweeper import LogSweeper
from agent.model.engine import EngineEvent
from agent.settings import Settings
from kit.clock import Clock
from kit.tasks import Tasks

_DAY_SECONDS: Final = 86_400.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogParts:
    """Logs to read, the archive, and the loop that sweeps it."""

    logs: Logs
    archive: LogArchive
    sweeper: LogSweeper

    def gauges(self) -> Mapping[str, tuple[str, Callable[[], float | None]]]:
        """What Prometheus is told of them, by name, with its help."""
        return {
            "log_followers": ("Containers whose log is followed.", lambda: float(self.logs.followers)),
            "log_viewers": ("Streams of logs that are open.", lambda: float(self.logs.viewers)),
            "log_archive_files": ("Archived logs of removed containers.", lambda: float(self.archive.files)),
            "log_archive_bytes": ("What archived logs take on disk.", lambda: float(self.archive.size_bytes)),
            "log_archive_dropped": (
                "Logs of removed containers that were lost since the start, or gave way to a full disk.",
                lambda: float(self.archive.dropped),
            ),
        }

    def note_event(self, event: EngineEvent) -> None:
        """Hear what happened at the engine."""
        self.archive.note_event(event)
        self.logs.note_event(event)


async def open_logs(settings: Settings, engine: Engine, *, tasks: Tasks, clock: Clock) -> LogParts:
    """The parts; `tasks` owns the followers."""
    files = DiskLogArchive(settings.data_dir / "logs")
    await files.open()
    archive = LogArchive(
        engine,
        files,
        clock=clock,
        most_seconds=settings.log_archive_days * _DAY_SECONDS,
        service_bytes=settings.log_archive_service_bytes,
        total_bytes=settings.log_archive_bytes,
    )
    logs = Logs(engine, archive=files, tasks=tasks, clock=clock)
    return LogParts(logs=logs, archive=archive, sweeper=LogSweeper(archive, clock=clock))
