"""Cursors over several nodes read back as they were written."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.rules.log_cursor import node_key, parse_cursor, parse_since, render_cursor, render_since

KEYS = st.text("0123456789abcdef", min_size=12, max_size=12)
CURSORS = st.from_regex(r"[0-9a-f]{8}-[0-9a-f]{1,13}-[0-9]{1,3}", fullmatch=True)


@given(st.dictionaries(KEYS, CURSORS, min_size=1, max_size=10))
def test_a_cursor_reads_back_as_it_was_written(cursors: dict[str, str]) -> None:
    assert parse_cursor(render_cursor(cursors)) == cursors


@pytest.mark.parametrize("text", ["", "x", ":", "a:", "a:b,", "a:b c", "a:b\n", "A:b", "a:" + "b" * 7000])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is|not a part"):
        parse_cursor(text)


def test_nodes_enrolled_in_one_minute_have_different_keys() -> None:
    assert node_key("0199c0de-0000-7000-8000-000000000001") != node_key("0199c0de-0000-7000-8000-000000000002")


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(3000, 1, 1), timezones=st.just(dt.UTC)))
def test_a_moment_is_a_place_that_reads_back(at: dt.datetime) -> None:
    place = render_since(at)
    assert parse_since(place) == at
    assert parse_cursor(render_cursor({"0" * 12: place})) == {"0" * 12: place}


@given(CURSORS)
def test_no_place_of_an_agent_is_a_moment(cursor: str) -> None:
    assert parse_since(cursor) is None
