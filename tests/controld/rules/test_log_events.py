"""What is known of events that go on as they came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.rules.log_events import count_lines, find_behind, find_last_id, is_same_place
from kit.http.sse import frame

TEXTS = st.lists(
    st.sampled_from(["", "plain", "id: 3", "\nid: 3\r\nx", "event: dropped", "two\rlines", "\n\nid: 2"]), max_size=8
)


@given(TEXTS)
def test_lines_are_counted_and_found_by_their_ids_whatever_they_say(texts: list[str]) -> None:
    events = [frame(text, id=f"{number}") for number, text in enumerate(texts)]
    data = b"".join(events)

    assert count_lines(data) == len(texts)
    assert find_last_id(data) == (str(len(texts) - 1) if texts else None)
    for number in range(len(texts)):
        assert find_behind(data, str(number)) == sum(map(len, events[: number + 1]))
    assert find_behind(data, str(len(texts))) is None
    assert find_behind(b"x: " + data, "0") is None


def test_lines_that_a_node_says_are_missing_count_and_follow_the_line_ahead_of_them() -> None:
    line, missing = frame("text", id="a"), frame("17 lines dropped", id="a", event="dropped")
    assert count_lines(line + missing + line) == 19
    assert find_behind(line + missing, "a") == len(line)
    assert find_last_id(line + frame("3 lines dropped", event="dropped")) == "a"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("n:a-1-0", "n:a-1-0", True),
        ("n:a-1-0.b-2-0", "n:b-2-0.a-1-0", True),
        ("n:a-1-0.b-2-0", "n:a-1-0", False),
        ("n:a-1-0", "n:a-1-1", False),
        ("", "n:a-1-0", False),
    ],
)
def test_the_order_of_its_parts_does_not_change_a_place(one: str, other: str, same: bool) -> None:
    assert is_same_place(one, other) is same
