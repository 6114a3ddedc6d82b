"""Records of the engine's files: the same lines come out as by the engine's API, wherever the bytes are cut."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.engine import EPOCH, LoggedLine
from agent.model.log_columns import LineColumns
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
    lines = records.feed(b"".join(map(record, written)))
    assert list(lines) == render_lines(frames.feed(b"".join(map(frame, later))))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["stdout", "stderr"]),
            st.integers(0, 3_000_000_000) | st.integers(0, 3000).map(lambda count: count * 1_000_000),
            st.text(st.sampled_from('ab "\\é\N{GRINNING FACE}<Z}'), max_size=12).map(lambda text: f"{text}\n"),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 3_000_000),
)
def test_short_whole_lines_come_side_by_side(written: list[Fragment], since: int) -> None:
    records = LogRecords(since_usec=MOMENT + since)
    lines = records.feed(b"".join(map(record, written)))

    assert isinstance(lines, LineColumns) == all(each[1] // 1000 >= since for each in written)
    assert list(lines) == render_lines(
        LogFrames().feed(b"".join(frame(each) for each in written if each[1] // 1000 >= since))
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"log": "no end"},
        {"log": "two\nin one\n"},
        {"log": "\r\n"},
        {"log": "\0\n"},
        {"log": "x" * FRAGMENT_BYTES + "\n"},
        {"time": "2026-11-22T05:30:01.490573+02:00"},
        {"time": "1999-11-22T05:30:01.490573Z"},
        {"time": "2026-11-22T05:30:01.49057~Z"},
        {"time": "Z"},
        {"time": ""},
    ],
)
def test_a_record_that_is_not_plain_lets_all_be_read_one_by_one(odd: dict[str, str]) -> None:
    told = {"log": "odd\n", "stream": "stdout", "time": "2026-11-22T03:30:01.490573Z", **odd}
    strange = json.dumps(told).encode() + b"\n"
    good = record(("stdout", 0, "good\n"))
    together, apart = LogRecords(), LogRecords()
    data = good * 2 + strange + good * 2
    lines = together.feed(data)

    assert not isinstance(lines, LineColumns)
    assert list(lines) == [line for each in data.splitlines(keepends=True) for line in apart.feed(each)]
    assert together.finish() == apart.finish()


def test_a_record_of_an_unknown_stream_is_a_line_like_any_other() -> None:
    known, unknown = record(("stdout", 0, "good\n")), record(("stdlog", 1, "odd\n"))
    assert [(line.stream, line.text) for line in LogRecords().feed(known + unknown + known)] == [
        ("stdout", "good"),
        ("stdlog", "odd"),
        ("stdout", "good"),
    ]


def test_a_stamp_without_the_zeros_at_its_end_is_read_beside_others() -> None:
    times = ["01.490573051Z", "01.490573Z", "01.49Z", "01Z", "02.1Z", "03Z"]
    data = b"".join(
        json.dumps({"log": "x\n", "stream": "stdout", "time": f"2026-11-22T03:30:{each}"}).encode() + b"\n"
        for each in times
    )
    lines = LogRecords().feed(data)
    assert isinstance(lines, LineColumns)
    assert [line.usec for line in lines] == [parse_stamp(f"2026-11-22T03:30:{each}") for each in times]
    assert lines.stamps[2:] == (
        parse_stamp(f"2026-11-22T03:30:{times[3]}"),
        parse_stamp(f"2026-11-22T03:30:{times[5]}"),
    )


def test_two_odd_records_do_not_make_a_plain_one() -> None:
    odd = [record(("stdout", 0, "a\nb\n")), record(("stdout", 0, "c"))]
    assert [line.text for line in LogRecords().feed(b"".join(odd))] == ["a\nb", "c"]


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
    assert list(records.feed(b"\n" + good)) == [LoggedLine(MOMENT, "stdout", "good")]
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
