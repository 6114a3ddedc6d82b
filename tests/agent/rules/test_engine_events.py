"""Event records: what is ours is told, what is odd is nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.engine import EngineEvent, EventKind
from agent.rules.engine_events import parse_event, render_since

DIED: dict[str, Any] = {
    "Type": "container",
    "Action": "die",
    "Actor": {
        "ID": "c1",
        "Attributes": {"moorage.node": "n1", "moorage.replica": "r1", "exitCode": "137", "image": "i", "name": "x"},
    },
    "time": 1795318201,
    "timeNano": 1795318201490573051,
}


def parse(record: dict[str, Any]) -> EngineEvent | None:
    return parse_event(record, label="moorage.node", value="n1", network="moorage-n1")


def test_a_death_tells_its_code_and_the_labels() -> None:
    assert parse(DIED) == EngineEvent(
        kind=EventKind.CONTAINER_DIED,
        at=dt.datetime(2026, 11, 22, 3, 30, 1, 490573, tzinfo=dt.UTC),
        container_id="c1",
        labels=(("moorage.node", "n1"), ("moorage.replica", "r1")),
        exit_code=137,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"Actor": {}},
        {"Actor": None},
        {"Actor": {"ID": "", "Attributes": {"moorage.node": "n1"}}},
        {"Actor": {"ID": "c1", "Attributes": {"moorage.node": "another"}}},
        {"Actor": {"ID": "c1", "Attributes": None}},
        {"Action": None},
        {"Action": "exec_start: sh"},
        {"Type": "network"},
        {"timeNano": "soon"},
        {"timeNano": None},
        {"timeNano": 10**40},
    ],
)
def test_an_event_that_is_odd_or_not_ours_is_nothing(change: dict[str, Any]) -> None:
    assert parse({**DIED, **change}) is None


def left(**changes: Any) -> EngineEvent | None:
    attributes = {"name": "moorage-n1", "type": "bridge", "container": "c1", **changes}
    return parse({**DIED, "Type": "network", "Action": "disconnect", "Actor": {"ID": "net", "Attributes": attributes}})


def test_a_container_that_leaves_our_network_is_told_and_who_leaves_another_is_not() -> None:
    event = left()
    assert event is not None
    assert (event.kind, event.container_id) == (EventKind.CONTAINER_OTHER, "c1")
    assert [left(name="bridge"), left(container=""), left(container=None)] == [None] * 3


def test_an_exit_code_that_is_no_number_is_not_told() -> None:
    record = {**DIED, "Actor": {"ID": "c1", "Attributes": {"moorage.node": "n1", "exitCode": "many"}}}
    event = parse(record)
    assert event is not None
    assert event.exit_code is None


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["Type", "Action", "Actor", "timeNano", "id"]), json_values))
def test_no_record_breaks_the_watch(record: dict[str, Any]) -> None:
    parse({**DIED, **record})


def test_a_moment_is_said_with_all_its_nanoseconds() -> None:
    assert render_since(1795318201000000051) == "1795318201.000000051"
