"""What the agent knows of one replica beyond its container: its health, its exits and what went wrong with it."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass


class Obstacle(enum.Enum):
    """Why a health check did not succeed."""

    REFUSED = "refused"
    """Nothing listens on the port."""
    UNREACHABLE = "unreachable"
    """The address cannot be reached."""
    SILENT = "silent"
    """No answer in time."""
    STATUS = "status"
    """An answer that is neither 2xx nor 3xx."""
    GARBLED = "garbled"
    """An answer that is not HTTP, or a connection that ended in the middle of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The outcome of one health check; `detail` is the status, or the error's own words."""

    obstacle: Obstacle | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.obstacle is None


class Verdict(enum.Enum):
    """What the checks of a run add up to."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a container's process at one address: health is known of a run, and never carried to the next."""

    container_id: str
    started_at: dt.datetime | None
    ip: str
    port: int

    @property
    def address(self) -> str:
        """`ip:port`."""
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFacts:
    """What the checks of one run have shown so far; moments are seconds of the monotonic clock."""

    run: Run
    verdict: Verdict
    verdict_at: float
    steady_since: float | None = None
    """Since when every check has succeeded; None after one that did not."""
    failures: int = 0
    """Checks in a row that did not succeed."""
    last: Probed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """What could not be done for a replica, so many times in a row, the last time at `at` (monotonic seconds)."""

    count: int
    at: float
    code: str
    message: str
    final: bool
    """Trying again cannot be expected to help by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaMemory:
    """What the agent remembers of a replica between two looks; moments are seconds of the monotonic clock."""

    container_id: str | None = None
    seen_restarts: int = 0
    seen_finished_at: dt.datetime | None = None
    restarts: int = 0
    """How often its process ended since the agent first saw it, plus the engine's own count at that time."""
    exits: int = 0
    """Exits since it was last well for long: decides the back-off."""
    last_exit_at: float | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    stopping: bool = False
    """The agent has asked for the stop, so that the exit to come is no crash."""
    stopped_because: str | None = None
    """Why the agent stopped a container that is wanted; None once it is healthy again."""
    setback: Setback | None = None
    unanswered: str | None = None
    """The newest thing that was asked of the engine for it, in a sentence, while the engine does not answer that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """One end, or several since the last look, of a replica's process that nobody asked for."""

    replica_id: str
    count: int
    exit_code: int | None
    oom_killed: bool
