"""Cursors read back, and resume exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.engine import LoggedLine
from agent.model.log_columns import LineColumns, Stamps
from agent.model.logs import Entry, Position
from agent.rules.log_cursor import SLACK_USEC, Numbering, Resume, Skip, advance, parse_cursor, render_cursor, render_ids

FIRST = 10**15
POSITIONS = st.dictionaries(
    st.text("0123456789abcdef", min_size=8, max_size=8),
    st.builds(Position, usec=st.integers(0, 2**53), nth=st.integers(-1, 999_999)),
    min_size=1,
    max_size=20,
)


def entry(usec: int, nth: int = 0, *, container: str = "aaaaaaaa", text: str = "") -> Entry:
    return Entry(container=container, replica_id="r", usec=usec, nth=nth, stream="stdout", text=text, partial=False)


def number(numbering: Numbering, stamps: Iterable[int]) -> list[Entry]:
    return list(number_lines(numbering, [LoggedLine(usec, "stdout", str(at)) for at, usec in enumerate(stamps)]))


def number_lines(numbering: Numbering, lines: Sequence[LoggedLine]) -> Sequence[Entry]:
    return numbering.number(lines, container="aaaaaaaa", replica_id="r", replica_index=None)


def make_stamps(usecs: Sequence[int]) -> Stamps:
    return Stamps(str(FIRST)[:10], [str(usec)[10:] for usec in usecs], min(usecs), max(usecs))


def make_columns(lines: Sequence[LoggedLine]) -> LineColumns:
    return LineColumns(
        make_stamps([line.usec for line in lines]),
        streams=[line.stream for line in lines],
        texts=[f"{line.text}\n" for line in lines],
        characters=sum(len(line.text) for line in lines),
    )


@given(POSITIONS)
def test_a_cursor_reads_back_as_it_was_written(positions: dict[str, Position]) -> None:
    assert parse_cursor(render_cursor(positions)) == positions


def test_cursors_of_older_agents_are_read() -> None:
    assert parse_cursor("aaaaaaaa-1f-0.bbbbbbbb_31-0") == {
        "aaaaaaaa": Position(usec=31, nth=0),
        "bbbbbbbb": Position(usec=31, nth=0),
    }


@pytest.mark.parametrize(
    "text",
    ["aaaaaaaa_1f-0", "aaaaaaaa_-0", "x", "aaaaaaaa-1", "aaaaaaaa-zz-0", "aaaaaaaa-1-0.", "aaaaaaaa-1--2", "a" * 9000],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        parse_cursor(text)


def test_a_cursor_with_too_many_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        parse_cursor(".".join(["aaaaaaaa-1-0"] * 300))


def test_the_id_of_each_line_says_where_the_reader_of_all_logs_stands() -> None:
    positions = {"bbbbbbbb": Position(usec=3, nth=0)}
    runs = advance(positions, [entry(16), entry(17, container="bbbbbbbb"), entry(17)])
    ids = [id_ for run in runs for id_ in render_ids(run)]

    assert [parse_cursor(each) for each in ids] == [
        {"aaaaaaaa": Position(usec=16, nth=0), "bbbbbbbb": Position(usec=3, nth=0)},
        {"aaaaaaaa": Position(usec=16, nth=0), "bbbbbbbb": Position(usec=17, nth=0)},
        {"aaaaaaaa": Position(usec=17, nth=0), "bbbbbbbb": Position(usec=17, nth=0)},
    ]
    assert parse_cursor(ids[-1]) == positions


def test_lines_of_one_stamp_are_numbered_in_the_order_of_the_log() -> None:
    numbering = Numbering()
    assert [each.nth for each in number(numbering, (5, 5, 4))] == [0, 1, 0]
    assert [each.nth for each in number(numbering, (5, 4))] == [2, 1]
    number(numbering, range(10, 40_000))
    assert [each.nth for each in number(numbering, (39_999, 40_000))] == [1, 0]


@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 40), min_size=1, max_size=8)), max_size=8))
def test_lines_side_by_side_are_numbered_as_one_by_one(parts: list[tuple[bool, list[int]]]) -> None:
    together, apart = Numbering(), Numbering()
    for is_plain, offsets in parts:
        lines = [LoggedLine(FIRST + offset, "stdout", str(offset)) for offset in offsets]
        found = number_lines(together, make_columns(lines) if is_plain else lines)
        wanted = number_lines(apart, lines)
        assert (found[0], found[-1], list(found)) == (wanted[0], wanted[-1], wanted)


def test_numbers_are_remembered_of_the_latest_lines_side_by_side() -> None:
    numbering = Numbering()
    for start in range(FIRST, FIRST + 60_000, 1000):
        number_lines(numbering, make_columns([LoggedLine(start + each, "stdout", "") for each in range(1000)]))
    later = [LoggedLine(FIRST + offset, "stdout", "") for offset in (59_999, 60_000, 52_000)]
    assert [each.nth for each in number_lines(numbering, make_columns(later))] == [1, 0, 1]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.data())
def test_resuming_behind_any_line_gives_exactly_the_lines_behind_it(stamps: list[int], data: st.DataObject) -> None:
    log = number(Numbering(), stamps)
    read = data.draw(st.integers(0, len(log) - 1))
    resume = Resume(log[read].position)
    found = [known for each in log if each.usec >= resume.start_usec for known in resume.take(each)]

    assert found + resume.finish() == log[read + 1 :]


def test_when_the_line_is_gone_the_later_ones_are_behind_it() -> None:
    resume = Resume(Position(usec=10, nth=0))
    held = [*resume.take(entry(9)), *resume.take(entry(11)), *resume.take(entry(12))]
    far = entry(11 + SLACK_USEC)

    assert held == []
    assert resume.take(far) == [entry(11), entry(12), far]
    assert resume.is_found


def test_live_lines_that_the_reader_has_had_are_passed_over() -> None:
    skip = Skip(Position(usec=10, nth=1))
    assert [skip.passes(each) for each in (entry(9), entry(10), entry(11), entry(10, 1), entry(10, 2))] == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_a_reader_who_stands_at_a_moment_gets_what_is_stamped_from_then_on() -> None:
    skip = Skip(Position(usec=10, nth=-1))
    assert [skip.passes(each) for each in (entry(9), entry(10), entry(9))] == [False, True, True]


def test_skipping_ends_at_a_stamp_too_late_to_be_ahead_of_the_line() -> None:
    assert Skip(Position(usec=10, nth=0)).passes(entry(11 + SLACK_USEC))
