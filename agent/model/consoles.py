"""Consoles: shells in replicas that somebody far away is typing into."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Ending(enum.Enum):
    """Why a console ended, where the node decided it."""

    EXITED = "exited"
    """The shell ended by itself, or with its container."""
    IDLE = "idle"
    LIMIT = "limit"
    ABANDONED = "abandoned"
    """Nobody came back in time."""
    LOST = "lost"
    """The agent stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The first process of a console; `started` is in ticks since boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleRecord:
    """A console that may have left processes behind."""

    console_id: str
    container_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleTerms:
    """How long a console may last."""

    grace_seconds: float
    idle_seconds: float
    limit_seconds: float
