"""Transcripts as asciicasts."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from controld.rules.asciicast import Asciicast


@given(text=st.text(max_size=60), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_text_that_comes_in_any_pieces_is_put_together_whole(text: str, cuts: list[int]) -> None:
    data, cast = text.encode("utf-8", "surrogatepass"), Asciicast()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    lines = [cast.render_output(1.0, data[start:end]) for start, end in itertools.pairwise(places)]

    events = [json.loads(line) for line in lines if line]

    assert "".join(event[2] for event in events) == data.decode("utf-8", "replace")
    assert all(event[:2] == [1.0, "o"] for event in events)


def test_every_line_is_a_json_text_of_its_own() -> None:
    cast = Asciicast()
    header = json.loads(cast.render_header(cols=80, rows=24, timestamp=5, title="t"))
    assert header == {"version": 2, "width": 80, "height": 24, "timestamp": 5, "title": "t"}
    for line in (
        cast.render_output(0.1234567, b"\x00\xff\r\n\x1b[0m"),
        cast.render_size(2, cols=1, rows=2),
        cast.render_marker(3, "x"),
    ):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        json.loads(line)
