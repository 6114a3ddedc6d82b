"""The bytes of an exec come out of its frames, whatever the cuts."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.rules.exec_frames import ExecFrames


def frame(payload: bytes, *, stream: int = 1) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4) + payload


@given(
    st.lists(st.tuples(st.sampled_from((1, 2)), st.binary(max_size=40))), st.lists(st.integers(min_value=0), max_size=9)
)
def test_what_both_streams_hold_comes_out_in_order_however_it_is_cut(
    written: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    sent = b"".join(frame(payload, stream=stream) for stream, payload in written)
    places = sorted({0, len(sent), *(cut % (len(sent) + 1) for cut in cuts)})
    frames = ExecFrames()
    assert b"".join(frames.feed(sent[start:end]) for start, end in pairwise(places)) == b"".join(
        payload for _, payload in written
    )


def test_what_is_there_of_a_frame_is_not_held_back() -> None:
    frames, sent = ExecFrames(), frame(b"prompt: ") + frame(b"answer")
    assert frames.feed(sent[:11]) == b"pro"
    assert frames.feed(sent[11:]) == b"mpt: answer"
