"""Lines are asked for by moment, replica and text; all that is given has to hold."""

from __future__ import annotations

import datetime as dt

import pytest

from agent.model.engine import EPOCH
from agent.model.logs import Entry
from agent.rules.log_cursor import SLACK_USEC
from agent.rules.log_filter import LogFilter
from kit.faults import Invalid
from wire.agent.logs import LogQuery

UNTIL = EPOCH + dt.timedelta(seconds=10)
UNTIL_USEC = 10_000_000


def entry(text: str = "x", *, usec: int = 0, replica_id: str = "r-1", index: int | None = 0) -> Entry:
    return Entry(
        container="c" * 8,
        replica_id=replica_id,
        usec=usec,
        nth=0,
        stream="stdout",
        text=text,
        partial=False,
        replica_index=index,
    )


@pytest.mark.parametrize(
    ("query", "asked_for"),
    [
        (LogQuery(), True),
        (LogQuery(grep="err"), True),
        (LogQuery(grep="Err"), False),
        (LogQuery(grep="Err", ignore_case=True), True),
        (LogQuery(grep_regex="^an err"), True),
        (LogQuery(grep="an", grep_regex="^err"), False),
        (LogQuery(replica_ids=("r-1",)), True),
        (LogQuery(replica_ids=("r-2",)), False),
        (LogQuery(replica_indices=(3,)), True),
        (LogQuery(replica_indices=(0,)), False),
        (LogQuery(replica_ids=("r-2",), replica_indices=(3,)), True),
        (LogQuery(replica_indices=(3,), grep="no"), False),
        (LogQuery(until=UNTIL), True),
        (LogQuery(until=EPOCH + dt.timedelta(seconds=9)), False),
    ],
)
def test_a_line_is_kept_when_all_that_is_asked_holds(query: LogQuery, asked_for: bool) -> None:
    line = entry("an error", usec=UNTIL_USEC - 1, index=3)
    assert (LogFilter(query).keep([line]) == [line]) is asked_for


def test_a_container_that_does_not_say_its_index_has_none() -> None:
    assert not LogFilter(LogQuery(replica_indices=(0,))).picks("r-1", None)
    assert LogFilter(LogQuery(replica_ids=("r-1",))).picks("r-1", None)


def test_a_log_is_read_somewhat_further_than_until_since_stamps_run_back() -> None:
    wanted = LogFilter(LogQuery(until=UNTIL))
    late = [entry(usec=UNTIL_USEC), entry(usec=UNTIL_USEC - 1), entry(usec=UNTIL_USEC + SLACK_USEC), entry(usec=0)]
    assert [wanted.takes(each) for each in late] == [False, True, False, True]
    assert wanted.find_end(late) == 2
    assert wanted.find_end(late[:2]) is None
    assert LogFilter(LogQuery(grep="x")).find_end(late) is None


@pytest.mark.parametrize(
    ("query", "selective"),
    [
        (LogQuery(since=UNTIL, tail=3), False),
        (LogQuery(replica_ids=("r-1",)), False),
        (LogQuery(until=UNTIL), True),
        (LogQuery(grep="x"), True),
        (LogQuery(grep_regex="x"), True),
    ],
)
def test_only_some_questions_need_every_line_of_a_replica_looked_at(query: LogQuery, selective: bool) -> None:
    assert LogFilter(query).is_selective is selective


def test_an_expression_that_is_none_is_refused() -> None:
    with pytest.raises(Invalid):
        LogFilter(LogQuery(grep_regex="("))
