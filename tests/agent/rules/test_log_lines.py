"""Bytes of a log line become text that is safe to send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rules.log_lines import LINE_BYTES, render_line


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"hello", "hello"),
        (b"hello\r", "hello"),
        (b"a\rb\r", "a\rb"),
        (b"\r", ""),
        (b"a\0b", "a�b"),
        (b"\xff\xfe", "��"),
        ("grüße".encode(), "grüße"),
        (b"x" * LINE_BYTES, "x" * LINE_BYTES),
    ],
)
def test_a_line_up_to_16_kib_is_whole_and_safe_text(raw: bytes, text: str) -> None:
    assert render_line(raw, partial=False) == [(text, False)]


def test_a_longer_line_comes_in_pieces_marked_partial_up_to_the_last() -> None:
    raw = b"y" * (LINE_BYTES * 2 + 5)
    assert render_line(raw, partial=False) == [("y" * LINE_BYTES, True), ("y" * LINE_BYTES, True), ("y" * 5, False)]


def test_a_piece_of_a_line_stays_partial_and_keeps_its_carriage_return() -> None:
    assert render_line(b"abc\r", partial=True) == [("abc\r", True)]


@given(st.text(alphabet="aé€😀", min_size=1, max_size=12))
def test_a_cut_splits_no_character(word: str) -> None:
    text = word * (3 * LINE_BYTES // len(word))
    pieces = render_line(text.encode(), partial=False)

    assert "".join(piece for piece, _ in pieces) == text
    assert all(len(piece.encode()) <= LINE_BYTES for piece, _ in pieces)
    assert [partial for _, partial in pieces] == [True] * (len(pieces) - 1) + [False]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_become_text_without_nul(raw: bytes, partial: bool) -> None:
    for text, _ in render_line(raw, partial=partial):
        assert "\0" not in text
        text.encode()
