"""Exits are counted once, our own stops not at all, and each further one waits longer."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from agent.core.faults import ImageNotFound, PullFailed
from agent.model.engine import Container, ContainerState
from agent.model.replica import ReplicaMemory
from agent.rules.restarts import (
    CALM_SECONDS,
    compute_backoff_seconds,
    count_exits,
    explain_exit,
    next_start_at,
    note_hold,
    note_setback,
    note_stop,
)
from tests.agent.rules.world import START, make_container, make_replica

RUNNING = dataclasses.replace(make_container("c1", make_replica("r1")), finished_at=None)


def look(memory: ReplicaMemory, container: Container, now: float = 1.0) -> tuple[ReplicaMemory, int]:
    memory, found = count_exits(memory, container, replica_id="r1", now=now, died={"c1": 7})
    return memory, found.count if found else 0


def ended(container: Container, *, restarts: int, second: int, state: ContainerState) -> Container:
    finished_at = START + dt.timedelta(seconds=second)
    return dataclasses.replace(container, state=state, restarts=restarts, finished_at=finished_at, exit_code=3)


def test_the_first_look_at_a_container_that_runs_counts_nothing() -> None:
    memory, count = look(ReplicaMemory(), dataclasses.replace(RUNNING, restarts=4, finished_at=START))
    assert count == 0
    assert (memory.restarts, memory.exits) == (4, 0)


def test_an_exit_is_counted_once_however_often_it_is_seen() -> None:
    memory, _ = look(ReplicaMemory(), RUNNING)
    crashed = ended(RUNNING, restarts=1, second=5, state=ContainerState.RESTARTING)
    memory, first = look(memory, crashed)
    memory, second = look(memory, crashed)
    assert (first, second, memory.exits, memory.exit_code) == (1, 0, 1, 3)


def test_exits_between_two_looks_are_found_with_the_code_that_events_told() -> None:
    memory, _ = look(ReplicaMemory(), RUNNING)
    again = ended(RUNNING, restarts=2, second=9, state=ContainerState.RUNNING)
    memory, count = look(memory, again)
    assert (count, memory.restarts, memory.exit_code) == (2, 2, 7)


def test_a_stop_of_our_own_is_no_crash() -> None:
    memory, _ = look(ReplicaMemory(), RUNNING)
    memory, count = look(note_hold(memory), ended(RUNNING, restarts=0, second=5, state=ContainerState.EXITED))
    assert (count, memory.exits, memory.stopping) == (0, 0, False)
    memory = note_stop(memory, "it stayed unhealthy", now=9.0)
    memory, count = look(memory, ended(RUNNING, restarts=0, second=9, state=ContainerState.EXITED))
    assert (count, memory.exits, memory.stopped_because) == (0, 1, "it stayed unhealthy")


def test_a_calm_time_forgets_the_exits() -> None:
    memory, _ = look(ReplicaMemory(), RUNNING)
    crashed = ended(RUNNING, restarts=1, second=5, state=ContainerState.RUNNING)
    memory, _ = look(memory, crashed, now=100.0)
    assert look(memory, crashed, now=100.0 + CALM_SECONDS - 1)[0].exits == 1
    assert look(memory, crashed, now=100.0 + CALM_SECONDS)[0].exits == 0


@pytest.mark.parametrize(("count", "seconds"), [(0, 1), (1, 1), (2, 2), (4, 8), (7, 60), (5000, 60)])
def test_back_off_doubles_up_to_a_minute(count: int, seconds: float) -> None:
    assert compute_backoff_seconds(count) == seconds


def test_what_cannot_help_itself_is_final_at_once_and_the_rest_after_three_tries() -> None:
    lasting = note_setback(ReplicaMemory(), ImageNotFound("no such image"), now=5.0).setback
    assert lasting is not None
    assert lasting.final
    memory, finals = ReplicaMemory(), []
    for now in (1.0, 2.0, 3.0):
        memory = note_setback(memory, PullFailed("reset"), now=now)
        finals.append(memory.setback is not None and memory.setback.final)
    assert finals == [False, False, True]
    assert next_start_at(memory) == 3.0 + 4.0


def test_an_exit_is_worded_with_its_cause() -> None:
    assert explain_exit(ReplicaMemory(exits=1, exit_code=3), memory_limit_bytes=1) == "it exited with code 3"
    assert "3 times" in explain_exit(ReplicaMemory(exits=3, exit_code=0), memory_limit_bytes=1)
    assert "memory limit of 64 bytes" in explain_exit(ReplicaMemory(exits=1, oom_killed=True), memory_limit_bytes=64)
