"""Counts the exits of replicas and decides how long to wait before the next try."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from agent.model.engine import Container, ContainerState
from agent.model.replica import Exit, ReplicaMemory, Setback
from kit.faults import Fault

RAPID_EXITS: Final = 3
"""So many exits without a calm time between them, and the agent takes the restarts over from the engine."""
CALM_SECONDS: Final = 600.0
"""Without an exit for so long, a replica's exits are forgotten."""
LONGEST_BACKOFF_SECONDS: Final = 60.0
_DOUBTFUL_TRIES: Final = 3
_LASTING_CODES: Final = frozenset({"image_not_found", "registry_denied", "start_failed"})
_STOPPED: Final = frozenset({ContainerState.EXITED, ContainerState.DEAD})
_ENDED: Final = _STOPPED | {ContainerState.RESTARTING}


def compute_backoff_seconds(count: int) -> float:
    """1 s after the first failure, doubled with each that follows, 60 s at the most."""
    return min(2.0 ** min(max(count - 1, 0), 10), LONGEST_BACKOFF_SECONDS)


def count_exits(
    memory: ReplicaMemory, container: Container, *, replica_id: str, now: float, died: Mapping[str, int]
) -> tuple[ReplicaMemory, Exit | None]:
    """The memory after a look at the replica's container, and the exits since the last look that nobody asked for.

    `died` has the exit code that the engine's events told last, by container id: a container that runs again no longer
    says how its previous run ended.
    """
    if memory.container_id != container.id:
        fresh = container.state in _ENDED and container.finished_at is not None
        memory = dataclasses.replace(
            memory,
            container_id=container.id,
            restarts=memory.restarts + container.restarts,
            stopping=False,
        )
        exits = 1 if fresh else 0
    else:
        finished = container.finished_at is not None and container.finished_at != memory.seen_finished_at
        exits = max(container.restarts - memory.seen_restarts, int(finished), 0)
    memory = dataclasses.replace(
        memory, seen_restarts=container.restarts, seen_finished_at=container.finished_at or memory.seen_finished_at
    )
    if memory.stopping:
        return dataclasses.replace(memory, stopping=container.state not in _STOPPED), None
    if exits == 0:
        return _forget_when_calm(memory, container, now), None
    exit_code = container.exit_code if container.state in _ENDED else died.get(container.id)
    found = Exit(replica_id=replica_id, count=exits, exit_code=exit_code, oom_killed=container.oom_killed)
    memory = dataclasses.replace(
        memory,
        restarts=memory.restarts + exits,
        exits=memory.exits + exits,
        last_exit_at=now,
        exit_code=exit_code,
        oom_killed=container.oom_killed,
    )
    return memory, found


def note_stop(memory: ReplicaMemory, because: str, *, now: float) -> ReplicaMemory:
    """The memory after the agent has decided to stop a container that is wanted, and so to start it again."""
    return dataclasses.replace(
        memory,
        stopping=True,
        stopped_because=because,
        restarts=memory.restarts + 1,
        exits=memory.exits + 1,
        last_exit_at=now,
    )


def note_hold(memory: ReplicaMemory) -> ReplicaMemory:
    """The memory after the agent has decided to take a crash loop over from the engine: no further exit is counted."""
    return dataclasses.replace(memory, stopping=True)


def note_setback(memory: ReplicaMemory, fault: Fault, *, now: float) -> ReplicaMemory:
    """The memory after an action failed; what may pass by itself is final only after three tries in a row."""
    count = memory.setback.count + 1 if memory.setback else 1
    final = fault.code in _LASTING_CODES or count >= _DOUBTFUL_TRIES
    setback = Setback(count=count, at=now, code=fault.code, message=fault.message, final=final)
    return dataclasses.replace(memory, setback=setback)


def next_start_at(memory: ReplicaMemory) -> float:
    """The monotonic moment from which the replica may be tried again, in seconds; long past when nothing went wrong."""
    moments = [0.0]
    if memory.last_exit_at is not None and memory.exits:
        moments.append(memory.last_exit_at + compute_backoff_seconds(memory.exits - RAPID_EXITS + 1))
    if memory.setback is not None:
        moments.append(memory.setback.at + compute_backoff_seconds(memory.setback.count))
    return max(moments)


def explain_exit(memory: ReplicaMemory, *, memory_limit_bytes: int) -> str:
    """A sentence on how the replica's process ended."""
    if memory.oom_killed:
        ended = f"it was killed because it passed its memory limit of {memory_limit_bytes} bytes"
    elif memory.exit_code is None:
        ended = "it exited"
    else:
        ended = f"it exited with code {memory.exit_code}"
    if memory.exits > 1:
        return f"{ended}, {memory.exits} times without a calm time between"
    return ended


def _forget_when_calm(memory: ReplicaMemory, container: Container, now: float) -> ReplicaMemory:
    calm = memory.last_exit_at is not None and now - memory.last_exit_at >= CALM_SECONDS
    if calm and memory.exits and container.state is ContainerState.RUNNING:
        return dataclasses.replace(memory, exits=0, exit_code=None, oom_killed=False, stopped_because=None)
    return memory
