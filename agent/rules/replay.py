"""The newest bytes of a stream, kept for those who come back to it."""

from __future__ import annotations


class Replay:
    """Holds the last `limit` bytes at least, and twice as many at the most; adding costs one copy."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.position = 0
        """Bytes that went through."""

    def add(self, data: bytes) -> None:
        """Take what the stream says next."""
        self._kept += data
        self.position += len(data)
        if len(self._kept) > 2 * self._limit:
            del self._kept[: -self._limit]

    def read(self, received: int | None) -> tuple[int, bytes]:
        """What follows the first `received` bytes, or all that is kept, and how many bytes were ahead of it.

        At most the limit: where more was missed, it begins later. A place ahead of the stream counts as none.
        """
        kept = min(len(self._kept), self._limit)
        start = self.position - kept
        if received is not None and start <= received <= self.position:
            start = received
        size = self.position - start
        return start, bytes(self._kept[len(self._kept) - size :]) if size else b""
