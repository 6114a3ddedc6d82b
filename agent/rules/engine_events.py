"""What an event record of the engine says, in our words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from agent.model.engine import EngineEvent, EventKind

_KINDS = {
    "start": EventKind.CONTAINER_STARTED,
    "die": EventKind.CONTAINER_DIED,
    "oom": EventKind.CONTAINER_OOM,
    "destroy": EventKind.CONTAINER_DESTROYED,
    "create": EventKind.CONTAINER_OTHER,
    "kill": EventKind.CONTAINER_OTHER,
    "pause": EventKind.CONTAINER_OTHER,
    "rename": EventKind.CONTAINER_OTHER,
    "restart": EventKind.CONTAINER_OTHER,
    "stop": EventKind.CONTAINER_OTHER,
    "unpause": EventKind.CONTAINER_OTHER,
    "update": EventKind.CONTAINER_OTHER,
}
_NOT_LABELS = {"exitCode", "execDuration", "image", "name", "signal"}
_LEFT = "disconnect"
FILTERS = {"type": ["container", "network"], "event": [*_KINDS, _LEFT]}
"""What is asked for; a label would keep the network's events out, which have none."""


def parse_event(record: Mapping[str, Any], *, label: str, value: str, network: str) -> EngineEvent | None:
    """The event of a container that carries the label, or that left the network; None for all else."""
    match record:
        case {
            "Type": "network",
            "Action": "disconnect",
            "Actor": {"Attributes": {"name": name, "container": str(id_)}},
        }:
            left_at = _parse_time(record)
            if name != network or left_at is None or not id_:
                return None
            return EngineEvent(kind=EventKind.CONTAINER_OTHER, at=left_at, container_id=id_)
        case {"Type": "container", "Action": str(action), "Actor": {"ID": str(id_), "Attributes": dict(attributes)}}:
            kind = _KINDS.get(action)
        case _:
            return None
    at = _parse_time(record)
    if kind is None or at is None or not id_ or attributes.get(label) != value:
        return None
    return EngineEvent(
        kind=kind,
        at=at,
        container_id=id_,
        labels=tuple(sorted((str(k), str(v)) for k, v in attributes.items() if k not in _NOT_LABELS)),
        exit_code=_parse_exit_code(attributes.get("exitCode")) if kind is EventKind.CONTAINER_DIED else None,
    )


def parse_event_nanoseconds(record: Mapping[str, Any]) -> int | None:
    """When the event happened, in nanoseconds since 1970, or None where it does not say."""
    nanoseconds = record.get("timeNano")
    return nanoseconds if isinstance(nanoseconds, int) and nanoseconds > 0 else None


def render_since(nanoseconds: int) -> str:
    """The moment as the engine's `since` wants it."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"


def _parse_time(record: Mapping[str, Any]) -> dt.datetime | None:
    nanoseconds = parse_event_nanoseconds(record)
    if nanoseconds is None:
        return None
    try:
        return dt.datetime.fromtimestamp(nanoseconds // 10**9, dt.UTC) + dt.timedelta(
            microseconds=nanoseconds % 10**9 // 1000
        )
    except (OverflowError, ValueError, OSError):
        return None


def _parse_exit_code(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.lstrip("-").isdigit() else None
