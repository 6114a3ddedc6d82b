"""What is kept of a stream for those who come back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.rules.replay import Replay


@given(pieces=st.lists(st.binary(max_size=30), max_size=30), seen=st.integers(min_value=0, max_value=30))
def test_who_comes_back_gets_what_follows_or_else_the_newest_bytes(pieces: list[bytes], seen: int) -> None:
    replay = Replay(64)
    for piece in pieces:
        replay.add(piece)
    whole = b"".join(pieces)
    received = len(b"".join(pieces[:seen]))

    position, missed = replay.read(received)

    assert replay.position == len(whole)
    assert whole[position:] == missed
    assert position == received if len(whole) - received <= 64 else len(missed) == 64
    assert replay.read(None)[1] == whole[-64:]


def test_a_place_that_the_stream_has_not_come_to_counts_as_none() -> None:
    replay = Replay(64)
    replay.add(b"abc")
    assert replay.read(7) == (0, b"abc")
    assert replay.read(3) == (3, b"")
