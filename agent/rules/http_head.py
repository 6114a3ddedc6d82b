"""Reads the head of an HTTP/1 answer, as far as a health check needs it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MOST_BYTES: Final = 64 * 1024
_START: Final = b"HTTP/1."
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_END: Final = re.compile(rb"\r?\n\r?\n")
_LENGTH: Final = re.compile(rb"\r?\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r?\n)", re.IGNORECASE)
_WITHOUT_BODY: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A status, and at which byte of what was received the answer ends; None where only its end will tell."""

    status: int
    end: int | None


def parse_head(data: bytes) -> Head | None:
    """The head of the answer, after interim ones; None while it is not whole, ValueError if it is none."""
    at = 0
    while True:
        line = _STATUS.match(data, at)
        if line is None:
            rest = data[at:]
            if not (rest.startswith(_START) or _START.startswith(rest)) or b"\n" in rest or len(rest) > MOST_BYTES:
                raise ValueError("it does not begin with a status of HTTP/1")
            return None
        end = _END.search(data, line.end() - 2)
        if end is None:
            if len(data) - at > MOST_BYTES:
                raise ValueError(f"its head is longer than {MOST_BYTES // 1024} KiB")
            return None
        status = int(line[1])
        if status >= 200:
            length = _LENGTH.search(data, line.end() - 2, end.end())
            if status in _WITHOUT_BODY:
                return Head(status=status, end=end.end())
            return Head(status=status, end=end.end() + int(length[1]) if length else None)
        at = end.end()
