"""Lines of a container's log as text that is safe to send: bytes in, text out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from agent.model.engine import EPOCH, LoggedLine, RawLine

LINE_BYTES: Final = 16 * 1024
"""The longest line that stays whole."""

_MICROSECOND: Final = dt.timedelta(microseconds=1)
_NUL, _REPLACEMENT = "\0", "�"


def render_line(raw: bytes, *, partial: bool) -> list[tuple[str, bool]]:
    """The line in pieces of at most 16 KiB as pairs of text and whether it goes on in the next piece.

    NUL and what is not UTF-8 become U+FFFD, a character that a cut would split stays whole, and a carriage return at
    the end of the line is dropped. `partial` says that the line goes on after `raw`.
    """
    if len(raw) <= LINE_BYTES:
        return [(_render(raw, ended=not partial), partial)]
    pieces: list[tuple[str, bool]] = []
    start = 0
    while len(raw) - start > LINE_BYTES:
        end = _find_cut(raw, start + LINE_BYTES)
        pieces.append((_render(raw[start:end], ended=False), True))
        start = end
    pieces.append((_render(raw[start:], ended=not partial), partial))
    return pieces


def render_lines(lines: Iterable[RawLine]) -> list[LoggedLine]:
    """The lines as text, long ones in pieces."""
    return [
        LoggedLine((line.at - EPOCH) // _MICROSECOND, line.stream, text, partial)
        for line in lines
        for text, partial in render_line(line.text, partial=line.partial)
    ]


def _find_cut(raw: bytes, end: int) -> int:
    """The place at or up to three bytes ahead of `end` where no character is split."""
    for cut in range(end, end - 4, -1):
        if raw[cut] & 0xC0 != 0x80:
            return cut
    return end


def _render(raw: bytes, *, ended: bool) -> str:
    if ended and raw.endswith(b"\r"):
        raw = raw[:-1]
    text = raw.decode(errors="replace")
    return text.replace(_NUL, _REPLACEMENT) if _NUL in text else text
