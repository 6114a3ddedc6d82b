"""What the agent knows of an attempt of a job's run beyond its container, and what it does next for it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from wire.link import EndedBy, JobRunReport


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is written down of an attempt, so that an agent that dies in the middle of it knows it again."""

    begun: bool = False
    """Its container was about to be started: whatever became of that, it is not started anew."""
    ending: EndedBy | None = None
    """Why the agent ends it."""
    report: JobRunReport | None = None
    """How it ended; final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """What could not be done for an attempt, so many times in a row, the last time at `at` (monotonic seconds)."""

    count: int
    at: float
    message: str
    final: bool
    """Trying again cannot be expected to help."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done before something changes, or before so many seconds have passed."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Make:
    """Get the image and make the container, without starting it."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start the container that was made."""

    container_id: str


@dataclass(frozen=True, slots=True)
class End:
    """Stop the container that runs: SIGTERM, then SIGKILL; by force when that was tried in vain."""

    container_id: str
    because: EndedBy
    by_force: bool


@dataclass(frozen=True, slots=True)
class Close:
    """Write down how it ended."""

    report: JobRunReport


Step = Wait | Make | Start | End | Close
