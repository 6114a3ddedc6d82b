"""Which processes belong to a console."""

from __future__ import annotations

from agent.rules.processes import Process, parse_stat, pick_members


def process(
    pid: int, parent: int, *, session: int = 0, group: int = 0, started: int = 5, marked: bool = False
) -> Process:
    return Process(pid=pid, parent=parent, group=group, session=session, started=started, is_marked=marked)


def test_a_name_may_hold_brackets_and_spaces() -> None:
    line = "17 (a) S 1 (b) S 3 4 5 0 -1 4194560 985 0 0 0 1 0 0 0 20 0 1 0 1199989 2322432"
    assert parse_stat(line) == Process(pid=17, parent=3, group=4, session=5, started=1199989)


def test_zombies_and_other_text_are_no_processes() -> None:
    zombie = "17 (a) Z 3 4 5 0 -1 4194560 985 0 0 0 1 0 0 0 20 0 1 0 1199989 0"
    assert [parse_stat(text) for text in (zombie, "", "17 (a) S 1", "x (a) S 1 2 3")] == [None] * 4


def test_marks_sessions_groups_and_descent_tell_and_nothing_else_is_touched() -> None:
    table = [
        process(1, 0),
        process(2, 1),
        process(10, 0, session=10, group=10),
        process(11, 10, session=10, group=11),
        process(12, 1, session=12, marked=True),
        process(13, 12, session=13),
        process(14, 1, session=14, group=10),
    ]
    assert [each.pid for each in pick_members(table, shell=(10, 5))] == [10, 11, 12, 13, 14]
    assert [each.pid for each in pick_members(table, shell=None)] == [12, 13]


def test_a_pid_that_somebody_else_has_by_now_is_not_the_shell() -> None:
    table = [process(10, 0, session=10, started=9), process(11, 10, session=10, started=9)]
    assert pick_members(table, shell=(10, 5)) == []
