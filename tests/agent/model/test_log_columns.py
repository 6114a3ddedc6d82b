"""Lines side by side are a sequence like one of single lines."""

from __future__ import annotations

from agent.model.engine import LoggedLine
from agent.model.log_columns import EntryColumns, LineColumns, Stamps
from agent.model.logs import Entry

FIRST = 1_795_318_201_490_573
LINES = LineColumns(
    Stamps("1795318201", ["490575", "490573", "490575"], FIRST, FIRST + 2),
    streams=["stdout", "stderr", "stdout"],
    texts=["a\n", "\n", "é\n"],
    characters=2,
)
ONE_BY_ONE = [
    LoggedLine(FIRST + 2, "stdout", "a"),
    LoggedLine(FIRST, "stderr", ""),
    LoggedLine(FIRST + 2, "stdout", "é"),
]


def test_lines_are_made_one_by_one() -> None:
    assert list(LINES) == ONE_BY_ONE
    assert [LINES[at] for at in (0, 1, -1)] == ONE_BY_ONE
    assert LINES[1:] == ONE_BY_ONE[1:]
    assert len(LINES) == 3
    assert LINES.stamps.list_usecs() == [line.usec for line in ONE_BY_ONE]


def test_entries_have_the_place_of_their_line() -> None:
    entries = EntryColumns(LINES, nths=[0, 0, 1], container="aaaaaaaa", replica_id="r-1", replica_index=2)
    wanted = [
        Entry("aaaaaaaa", "r-1", line.usec, nth, line.stream, line.text, partial=False, replica_index=2)
        for line, nth in zip(ONE_BY_ONE, [0, 0, 1], strict=True)
    ]

    assert [entries[at] for at in (0, 1, -1)] == wanted
    assert list(entries) == wanted
    assert [entries[at] for at in (0, 1, -1)] == wanted
    assert entries[1:] == wanted[1:]
    assert len(entries) == 3


def test_without_numbers_each_entry_is_the_first_with_its_stamp() -> None:
    entries = EntryColumns(LINES, nths=None, container="aaaaaaaa", replica_id="r-1", replica_index=None)
    assert [entries[0].nth, *(each.nth for each in entries)] == [0, 0, 0, 0]
