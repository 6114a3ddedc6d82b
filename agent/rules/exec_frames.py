"""Frames of an exec without a terminal become the bytes that its program wrote, whatever the cuts between them."""

from __future__ import annotations

from typing import Final

_HEADER_BYTES: Final = 8
_SIZE: Final = 4
"""Where in it the number of bytes behind it begins."""


class ExecFrames:
    """Takes the engine's headers out of the stream; output and errors stay in the order in which they came."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """What these bytes hold of the program's, as far as it is there."""
        if self._header:
            data = self._header + data
        pieces, start, left, size = [], 0, self._left, len(data)
        while (end := start + left) <= size:
            pieces.append(data[start:end])
            start = end + _HEADER_BYTES
            if start > size:
                self._header, self._left = data[end:], 0
                return b"".join(pieces)
            left = int.from_bytes(data[end + _SIZE : start])
        pieces.append(data[start:])
        self._header, self._left = b"", end - size
        return b"".join(pieces)
