"""When a node is heard of, silent, or lost."""

from __future__ import annotations

from dataclasses import dataclass

from controld.model.node import NodeState
from wire.version import VERSION

_SUSPECT_BEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a node may be silent."""

    suspect_seconds: float
    lost_seconds: float


def compute_patience(beat_seconds: float, *, lost_seconds: float) -> Patience:
    """Suspect after three beats; lost after the setting, and never before six beats."""
    suspect_seconds = _SUSPECT_BEATS * beat_seconds
    return Patience(suspect_seconds=suspect_seconds, lost_seconds=max(lost_seconds, 2 * suspect_seconds))


def compute_beat_seconds(nodes: int, *, least_seconds: float, heartbeats_per_second: float) -> float:
    """The pace of each node's heartbeats, so that together they stay within what a controld takes."""
    return max(least_seconds, nodes / heartbeats_per_second)


def decide_heard(state: NodeState) -> NodeState:
    """The state after a heartbeat: the node is ready again, unless a person wants it otherwise."""
    match state:
        case NodeState.JOINING | NodeState.READY | NodeState.SUSPECT | NodeState.LOST:
            return NodeState.READY
        case NodeState.DRAINING | NodeState.DRAINED | NodeState.REMOVED:
            return state


def decide_silent(state: NodeState, silent_seconds: float, patience: Patience) -> NodeState:
    """The state after so long a silence; one that never came, or that a person has set aside, stays as it is."""
    match state:
        case NodeState.READY | NodeState.SUSPECT if silent_seconds >= patience.lost_seconds:
            return NodeState.LOST
        case NodeState.READY if silent_seconds >= patience.suspect_seconds:
            return NodeState.SUSPECT
        case _:
            return state


def speaks_our_version(wire_version: int) -> bool:
    """Whether a node with this version of the contract can be worked with: ours, one behind, or one ahead."""
    return abs(wire_version - VERSION) <= 1
