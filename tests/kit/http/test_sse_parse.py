"""Events survive any cutting of the stream into pieces."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.http.sse import frame
from kit.http.sse_parse import Event, EventParser, split_events

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text("\r\n\0: a", max_size=20)
_name = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12)
_events = st.lists(st.tuples(_text, st.none() | _name, st.none() | _name), max_size=8)


def _parse(stream: bytes, cuts: list[int] | None = None) -> list[Event]:
    parser = EventParser()
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts or [])})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    return [event for piece in pieces for event in parser.feed(piece)]


@given(events=_events, cuts=st.lists(st.integers(min_value=0), max_size=20))
def test_what_is_framed_is_read_back_whatever_the_pieces(
    events: list[tuple[str, str | None, str | None]], cuts: list[int]
) -> None:
    stream = b"".join(frame(data, event=event, id=id_) for data, event, id_ in events)
    wanted, last_id = [], ""
    for data, event, id_ in events:
        last_id = last_id if id_ is None else id_
        lines = data.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        wanted.append(Event(data=lines, event=event or "message", id=last_id))
    assert _parse(stream, cuts) == wanted


@given(
    stream=st.binary(max_size=200) | st.text("\r\n:dataeventid \0", max_size=80).map(str.encode),
    cuts=st.lists(st.integers(0)),
)
def test_no_bytes_break_the_parser_and_cutting_changes_nothing(stream: bytes, cuts: list[int]) -> None:
    assert _parse(stream, cuts) == _parse(stream)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event(data="a")]),
        (b"data:a\r\n\r\n", [Event(data="a")]),
        (b"data: a\r\rdata: b\r\r", [Event(data="a"), Event(data="b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(data="a")]),
        (b": comment\n\ndata\n\n", [Event(data="")]),
        (b"event: done\n\n", []),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [Event(data="a", id="7"), Event(data="b", id="7")]),
        (b"id: 7\0\ndata: a\n\n", [Event(data="a")]),
        (b"data: cut off\n", []),
        (b"data: \xff\n\n", [Event(data="\ufffd")]),
    ],
)
def test_streams_are_read_as_the_standard_says(stream: bytes, events: list[Event]) -> None:
    assert _parse(stream) == events


def test_the_reconnection_time_is_kept() -> None:
    parser = EventParser()
    assert list(parser.feed(b"retry: 1500\nretry: soon\n\n")) == []
    assert parser.retry_milliseconds == 1500


def test_an_endless_event_is_refused() -> None:
    parser = EventParser(max_event_bytes=100)
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        list(parser.feed(b"data: " + b"a" * 200))


@given(st.lists(st.sampled_from(["", "a", "b\nc", "d" * 50]), max_size=6), st.lists(st.integers(0, 300), max_size=8))
async def test_a_stream_is_cut_into_whole_events_wherever_its_bytes_are(texts: list[str], cuts: list[int]) -> None:
    data = b"\n".join(frame(text, id=str(number)) for number, text in enumerate(texts))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in itertools.pairwise(edges):
            yield data[start:end]
            yield b"\n" if data[:end].endswith(b"\n\n") else b""

    pieces = [piece async for piece in split_events(chunks())]
    assert all(piece.endswith(b"\n\n") and piece.strip(b"\n") for piece in pieces)
    assert _parse(b"".join(pieces)) == _parse(data)


async def test_an_endless_event_is_not_waited_for() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"a" * 60

    with pytest.raises(ValueError, match="passes 100 bytes"):
        await anext(split_events(chunks(), max_event_bytes=100))
