"""When a node is heard of, silent, or lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.model.node import NodeState
from controld.rules.node_state import (
    Patience,
    compute_beat_seconds,
    compute_patience,
    decide_heard,
    decide_silent,
    speaks_our_version,
)
from wire.version import VERSION

PATIENCE = Patience(suspect_seconds=15, lost_seconds=60)


@pytest.mark.parametrize(
    ("state", "heard"),
    [
        (NodeState.JOINING, NodeState.READY),
        (NodeState.READY, NodeState.READY),
        (NodeState.SUSPECT, NodeState.READY),
        (NodeState.LOST, NodeState.READY),
        (NodeState.DRAINING, NodeState.DRAINING),
        (NodeState.DRAINED, NodeState.DRAINED),
        (NodeState.REMOVED, NodeState.REMOVED),
    ],
)
def test_a_heartbeat_makes_a_node_ready_unless_a_person_wants_it_otherwise(state: NodeState, heard: NodeState) -> None:
    assert decide_heard(state) is heard


@pytest.mark.parametrize(
    ("state", "seconds", "after"),
    [
        (NodeState.READY, 14.9, NodeState.READY),
        (NodeState.READY, 15, NodeState.SUSPECT),
        (NodeState.READY, 60, NodeState.LOST),
        (NodeState.SUSPECT, 59, NodeState.SUSPECT),
        (NodeState.SUSPECT, 60, NodeState.LOST),
        (NodeState.LOST, 9e9, NodeState.LOST),
        (NodeState.JOINING, 9e9, NodeState.JOINING),
        (NodeState.DRAINING, 9e9, NodeState.DRAINING),
        (NodeState.REMOVED, 9e9, NodeState.REMOVED),
    ],
)
def test_silence_makes_a_node_suspect_and_then_lost(state: NodeState, seconds: float, after: NodeState) -> None:
    assert decide_silent(state, seconds, PATIENCE) is after


@given(state=st.sampled_from(NodeState), silences=st.lists(st.floats(0, 1000)))
def test_silence_alone_never_makes_a_node_ready_and_nothing_revives_a_removed_one(
    state: NodeState, silences: list[float]
) -> None:
    now = state
    for seconds in sorted(silences):
        now = decide_silent(now, seconds, PATIENCE)
    assert now is not NodeState.READY or state is NodeState.READY
    assert (now is NodeState.REMOVED) == (state is NodeState.REMOVED)


def test_the_pace_stretches_with_the_fleet_and_patience_with_the_pace() -> None:
    assert compute_beat_seconds(100, least_seconds=5, heartbeats_per_second=2000) == 5
    assert compute_beat_seconds(40_000, least_seconds=5, heartbeats_per_second=2000) == 20
    assert compute_patience(5, lost_seconds=60) == PATIENCE
    assert compute_patience(20, lost_seconds=60).lost_seconds == 120


def test_one_version_behind_or_ahead_is_worked_with() -> None:
    assert [speaks_our_version(VERSION + step) for step in (-2, -1, 0, 1, 2)] == [False, True, True, True, False]
