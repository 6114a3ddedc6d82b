"""Records of the engine's files: the same lines come out as by the engine's API, wherever the bytes are cut."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.engine import EPOCH, LoggedLine
from agent.rules.log_frames import FRAGMENT_BYTES, LogFrames
from agent.rules.log_lines import render_lines
from agent.rules.log_records import LogRecords, find_stamp, parse_stamp

MOMENT = 1_795_318_201_490_573
"""In microseconds."""

Fragment = tuple[str, int, str]
"""The stream, the nanoseconds behind the moment, and what was written."""

short = st.text(st.sampled_from('ab \r\0"\\é\N{GRINNING FACE}<'), max_size=12)
long = st.integers(0, 2 * FRAGMENT_BYTES + 5).map(lambda size: "x" * size)


@st.composite
def fragments(draw: st.DrawFn) -> list[Fragment]:
    """Lines of both streams as the engine cuts and stamps them, some of them without an end."""
    found: list[Fragment] = []
    for _ in range(draw(st.integers(0, 8))):
        text = draw(short | long)
        cuts = [text[start : start + FRAGMENT_BYTES] for start in range(0, len(text), FRAGMENT_BYTES)] or [""]
        stream, ends = draw(st.sampled_from(["stdout", "stderr"])), draw(st.integers(0, 9)) > 0
        for number, cut in enumerate(cuts):
            nanoseconds = draw(st.integers(0, 3_000_000_000))
            found.append((stream, nanoseconds, cut + ("\n" if ends and number == len(cuts) - 1 else "")))
    return found


def render_stamp(nanoseconds: int) -> str:
    """As Go does: without the zeros at the end."""
    at = EPOCH + dt.timedelta(microseconds=MOMENT + nanoseconds // 1000)
    text = f"{at:%Y-%m-%dT%H:%M:%S.%f}{nanoseconds % 1000:03d}"
    return text.rstrip("0").rstrip(".") + "Z"


def record(fragment: Fragment) -> bytes:
    stream, nanoseconds, text = fragment
    return json.dumps({"log": text, "stream": stream, "time": render_stamp(nanoseconds)}).encode() + b"\n"


def frame(fragment: Fragment) -> bytes:
    stream, nanoseconds, text = fragment
    payload = f"{render_stamp(nanoseconds)} {text}".encode()
    return bytes([2 if stream == "stderr" else 1, 0, 0, 0]) + len(payload).to_bytes(4) + payload


@given(fragments(), st.lists(st.integers(0, 60_000), max_size=12))
def test_the_file_gives_the_lines_and_stamps_that_the_api_gives(written: list[Fragment], cuts: list[int]) -> None:
    frames, records = LogFrames(), LogRecords()
    data = b"".join(map(record, written))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]

    by_api = render_lines(frames.feed(b"".join(map(frame, written))))
    by_file = [line for start, end in pairwise(edges) for line in records.feed(data[start:end])]

    assert by_file == by_api
    assert sorted(records.finish(), key=repr) == sorted(render_lines(frames.finish()), key=repr)


@given(fragments(), st.integers(0, 3_000_000))
def test_records_stamped_ahead_of_a_moment_are_left_out_as_the_api_does(written: list[Fragment], since: int) -> None:
    later = [each for each in written if each[1] // 1000 >= since]
    frames, records = LogFrames(), LogRecords(since_usec=MOMENT + since)
    assert records.feed(b"".join(map(record, written))) == render_lines(frames.feed(b"".join(map(frame, later))))


def test_what_is_finer_than_a_microsecond_is_cut_off() -> None:
    assert parse_stamp("2026-11-22T03:30:01.490573999Z") == MOMENT
    assert parse_stamp("2026-11-22T03:30:01.49Z") == MOMENT - 573
    assert parse_stamp("2026-11-22T03:30:01Z") == MOMENT - 490_573


def test_what_a_crash_left_in_the_file_is_passed_over() -> None:
    good = record(("stdout", 0, "good\n"))
    torn = good[:20]
    lines = LogRecords().feed(good + b"\0" * 50 + b"\n" + torn + b"\n" + good + b'{"log":1}\n' + good)
    assert [line.text for line in lines] == ["good"] * 3


def test_bytes_without_end_are_not_kept_for_ever() -> None:
    records = LogRecords()
    for _ in range(40):
        records.feed(b"x" * 100_000)
    good = record(("stdout", 0, "good\n"))
    assert records.feed(b"\n" + good) == [LoggedLine(MOMENT, "stdout", "good")]
    assert len(records._rest) == 0


def test_the_first_stamp_of_a_part_is_that_of_its_first_whole_record() -> None:
    data = b"".join(record(("stdout", number * 1_000_000, "text\n")) for number in range(3))
    assert find_stamp(data, is_start=True) == MOMENT
    assert find_stamp(data, is_start=False) == MOMENT + 1000
    assert find_stamp(data[:30], is_start=True) is None
    assert find_stamp(data[:30], is_start=False) is None


@pytest.mark.parametrize("stamp", ["", "x", "2026-99-99T00:00:00Z", "2026-11-22T03:30:01"])
def test_what_is_no_stamp_is_the_beginning_of_time(stamp: str) -> None:
    assert parse_stamp(stamp) == 0
