"""Lines as events: as one by one, and read back by any client of server-sent events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.model.log_columns import EntryColumns, LineColumns, Stamps
from agent.model.logs import Entry
from agent.rules.log_cursor import Run, render_ids
from agent.rules.log_events import render_dropped, render_events
from kit.http.sse import frame

FIRST = 1_795_318_201_000_000
texts = st.lists(st.text(st.sampled_from('ab \r\n:"é\N{GRINNING FACE}'), max_size=8) | st.just("id: x"), max_size=6)


@given(texts, st.sampled_from(["", ".bbbbbbbb_1-0"]))
def test_events_made_together_are_those_made_one_by_one(texts: list[str], rest: str) -> None:
    run = Run([Entry("aaaaaaaa", "r", 16, n, "stdout", text, False) for n, text in enumerate(texts)], rest)
    # A log's line has lost the carriage return at its end by then; whatever is left is between two lines of data.
    alone = [
        frame(text + "\r" if text.endswith("\r") else text, id="node:" + id_)
        for text, id_ in zip(texts, render_ids(run), strict=True)
    ]
    assert render_events(run, prefix="node:") == b"".join(alone)


plain = st.lists(st.text(st.sampled_from('ab :"é\N{GRINNING FACE}'), max_size=8), min_size=1, max_size=6)


@given(plain, st.booleans(), st.sampled_from(["", ".bbbbbbbb_1-0"]))
def test_events_of_lines_side_by_side_are_those_of_the_lines_one_by_one(
    texts: list[str], is_alone: bool, rest: str
) -> None:
    lines = LineColumns(
        Stamps("1795318201", [f"{at:06}" for at in range(len(texts))], FIRST, FIRST + len(texts) - 1),
        streams=["stdout"] * len(texts),
        texts=[f"{text}\n" for text in texts],
        characters=sum(map(len, texts)),
    )
    nths = None if is_alone else range(len(texts))
    columns = EntryColumns(lines, nths=nths, container="aaaaaaaa", replica_id="r", replica_index=None)
    assert render_events(Run(columns, rest), prefix="node:") == render_events(Run(list(columns), rest), prefix="node:")


def test_missing_lines_are_told_under_the_id_of_the_line_ahead_of_them() -> None:
    assert render_dropped(7, id="node:x") == frame("7 lines dropped", id="node:x", event="dropped")
    assert render_dropped(7, id="") == frame("7 lines dropped", event="dropped")
