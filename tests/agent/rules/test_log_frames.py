"""Log frames: the same lines come out wherever the bytes are cut."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.engine import RawLine
from agent.rules.log_frames import FRAGMENT_BYTES, LogFrames, TerminalLines

AT = dt.datetime(2026, 11, 22, 3, 30, 1, 490573, tzinfo=dt.UTC)
STAMP = b"2026-11-22T03:30:01.490573051Z "

texts = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b""))
long_texts = st.integers(0, 3 * FRAGMENT_BYTES + 5).map(lambda size: b"x" * size)
written = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), texts | long_texts), max_size=8)


def frame(text: bytes, *, stream: str = "stdout", stamp: bytes = STAMP) -> bytes:
    payload = stamp + text
    return bytes([2 if stream == "stderr" else 1, 0, 0, 0]) + len(payload).to_bytes(4) + payload


def fragments(text: bytes) -> list[bytes]:
    """A line as the engine cuts it: fragments of 16 KiB, the last one with a line feed."""
    cuts = [text[start : start + FRAGMENT_BYTES] for start in range(0, len(text), FRAGMENT_BYTES)] or [b""]
    if len(cuts[-1]) == FRAGMENT_BYTES:
        cuts.append(b"")
    return [*cuts[:-1], cuts[-1] + b"\n"]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(written, st.lists(st.integers(0, 60_000), max_size=12))
def test_every_line_comes_back_whole_in_order_however_the_bytes_are_cut(
    lines: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    data = b"".join(frame(part, stream=stream) for stream, text in lines for part in fragments(text))
    frames = LogFrames()
    got = [line for piece in pieces(data, cuts) for line in frames.feed(piece)]

    assert frames.finish() == []
    assert all(len(line.text) <= FRAGMENT_BYTES for line in got)
    assert all(len(line.text) == FRAGMENT_BYTES for line in got if line.partial)
    assert {line.at for line in got} <= {AT}
    assert join(got) == lines


@given(st.lists(texts | long_texts, max_size=6), st.lists(st.integers(0, 60_000), max_size=12))
def test_a_terminals_lines_come_back_however_the_bytes_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    lines = [line.rstrip(b"\r") for line in lines]
    data = b"".join(STAMP + part.replace(b"\n", b"\r\n") for text in lines for part in fragments(text))
    frames = TerminalLines()
    got = [line for piece in pieces(data, cuts) for line in frames.feed(piece)]

    assert frames.finish() == []
    assert join(got) == [("stdout", line) for line in lines]


@pytest.mark.parametrize("size", [*range(FRAGMENT_BYTES - 2, FRAGMENT_BYTES + 36), 2 * FRAGMENT_BYTES])
def test_a_terminals_line_that_ends_near_a_fragments_end_is_whole(size: int) -> None:
    written = [b"x" * size, b"", b"z"]
    frames = TerminalLines()
    data = b"".join(STAMP + part.replace(b"\n", b"\r\n") for text in written for part in fragments(text))
    assert join(frames.feed(data)) == [("stdout", text) for text in written]


def test_a_line_of_exactly_one_fragment_is_one_line() -> None:
    frames = LogFrames()
    got = [line for part in fragments(b"y" * FRAGMENT_BYTES) for line in frames.feed(frame(part))]
    assert got == [RawLine(at=AT, stream="stdout", text=b"y" * FRAGMENT_BYTES)]


def test_a_long_line_of_one_stream_does_not_mix_with_the_other() -> None:
    frames = LogFrames()
    first, last = b"a" * FRAGMENT_BYTES, b"b"
    got = [
        *frames.feed(frame(first)),
        *frames.feed(frame(b"warning\n", stream="stderr")),
        *frames.feed(frame(last + b"\n")),
    ]
    assert [(line.stream, line.text, line.partial) for line in got] == [
        ("stderr", b"warning", False),
        ("stdout", first, True),
        ("stdout", last, False),
    ]


def test_nul_and_invalid_utf8_stay_as_they_are() -> None:
    assert LogFrames().feed(frame(b"\x00\xff\xfe ok\r\n")) == [
        RawLine(at=AT, stream="stdout", text=b"\x00\xff\xfe ok\r")
    ]


def test_a_stream_that_is_cut_gives_what_was_begun() -> None:
    frames, begun = LogFrames(), b"z" * FRAGMENT_BYTES
    assert frames.feed(frame(begun)) == []
    assert frames.finish() == [RawLine(at=AT, stream="stdout", text=begun)]
    assert frames.finish() == []


def test_what_a_program_leaves_without_a_line_feed_is_a_line_and_not_the_next_ones_beginning() -> None:
    frames = LogFrames()
    got = frames.feed(frame(b"given") + frame(b"given"))
    assert [(line.text, line.partial) for line in got] == [(b"given", False), (b"given", False)]


def test_a_terminal_that_ends_in_the_middle_of_a_line_gives_it() -> None:
    lines = TerminalLines()
    assert lines.feed(STAMP + b"prompt> ") == []
    assert lines.finish() == [RawLine(at=AT, stream="stdout", text=b"prompt> ")]


def test_a_line_whose_stamp_is_not_one_keeps_all_its_bytes_and_the_moment_before() -> None:
    frames = LogFrames()
    got = frames.feed(frame(b"one\n") + frame(b"2026-99-99T00:00:00Z two\n", stamp=b""))
    assert [(line.at, line.text) for line in got] == [(AT, b"one"), (AT, b"2026-99-99T00:00:00Z two")]


def join(lines: list[RawLine]) -> list[tuple[str, bytes]]:
    """Whole lines of records, in the order in which they end."""
    begun = {"stdout": b"", "stderr": b""}
    whole = []
    for line in lines:
        begun[line.stream] += line.text
        if not line.partial:
            whole.append((line.stream, begun[line.stream]))
            begun[line.stream] = b""
    return whole
