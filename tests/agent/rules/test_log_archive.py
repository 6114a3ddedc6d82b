"""Which archived logs go, and which a reader has not read yet."""

from __future__ import annotations

import pytest

from agent.model.log_archive import ArchivedLog
from agent.model.logs import Position
from agent.rules.log_archive import choose_surplus, find_end, find_read, name_read, pick_unread


def make_log(container: str, *, kept: int, subject: str = "s-1", size: int = 1, last: int | None = None) -> ArchivedLog:
    return ArchivedLog(
        subject=subject,
        container=container,
        replica_id="r-1",
        replica_index=0,
        first_usec=0,
        last_usec=kept - 1 if last is None else last,
        kept_usec=kept,
        size_bytes=size,
    )


OLD, MIDDLE, NEW = (make_log(name, kept=kept) for name, kept in (("old", 10), ("middle", 20), ("new", 30)))
LOGS = (OLD, MIDDLE, NEW)


@pytest.mark.parametrize(
    ("before", "service", "total", "gone"),
    [
        (0, 99, 99, []),
        (20, 99, 99, [OLD]),
        (0, 2, 99, [OLD]),
        (0, 99, 1, [OLD, MIDDLE]),
        (31, 99, 99, [OLD, MIDDLE, NEW]),
        (0, 0, 99, [OLD, MIDDLE, NEW]),
    ],
)
def test_logs_go_by_age_and_the_earliest_beyond_each_size(
    before: int, service: int, total: int, gone: list[ArchivedLog]
) -> None:
    assert choose_surplus(LOGS, before_usec=before, subject_bytes=service, total_bytes=total) == gone


def test_a_service_that_has_much_takes_nothing_from_another() -> None:
    other = make_log("other", kept=5, subject="s-2")
    assert choose_surplus((*LOGS, other), before_usec=0, subject_bytes=1, total_bytes=2) == [OLD, MIDDLE]


def test_a_log_that_is_too_large_goes_alone() -> None:
    huge = make_log("huge", kept=40, size=100)
    assert choose_surplus((*LOGS, huge), before_usec=0, subject_bytes=50, total_bytes=50) == [huge]


def test_a_reader_lacks_what_was_archived_behind_its_newest_line_and_what_it_names() -> None:
    running = {"running": Position(20, 0)}
    assert pick_unread(LOGS, {}) == [OLD, MIDDLE, NEW]
    assert pick_unread(LOGS, running) == [MIDDLE, NEW]
    assert pick_unread(LOGS, {**running, "old": Position(3, 0)}) == [OLD, MIDDLE, NEW]
    # Where reading is to begin says nothing of what was read.
    assert pick_unread(LOGS, {"running": Position(25, -1)}) == [OLD, MIDDLE, NEW]


def test_what_is_read_is_named_only_while_the_newest_line_does_not_say_it() -> None:
    positions = {"running": Position(15, 0)}
    name_read(LOGS, positions)
    assert positions == {"running": Position(15, 0), "new": find_end(NEW)}
    assert pick_unread(LOGS, positions) == [NEW]

    positions = {"running": Position(15, 0), "new": Position(2, 0)}
    name_read(LOGS, positions, newest_usec=18)
    assert positions == {"running": Position(15, 0), "new": Position(2, 0), "middle": find_end(MIDDLE)}


def test_a_log_is_named_no_more_once_a_later_line_says_that_it_is_read() -> None:
    positions = {"running": Position(25, 0), "old": Position(3, 0), "new": Position(3, 0)}
    assert find_read(LOGS, positions) == ["old"]
