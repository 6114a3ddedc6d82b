"""Turns compressed bytes into tar bytes, a bounded piece at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import zstandard

from kit.archive.faults import ArchiveCorrupt, CompressedTooLarge
from kit.archive.frames import Frames
from kit.archive.limits import Limits

_WRITE_BYTES = 1 << 18


class Decoder:
    """Decodes zstd frames that arrive in chunks and hashes what arrives.

    Holds one window and one piece of output, about 10 MiB with the default limits. A fault ends its use.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._frames = Frames(limits)
        self._zstd = zstandard.ZstdDecompressor(max_window_size=limits.window_bytes)
        self._frame = self._zstd.decompressobj(write_size=_WRITE_BYTES)
        self._sha256 = hashlib.sha256()
        self.compressed_bytes = 0

    def feed(self, chunk: memoryview | bytes) -> Iterator[bytes]:
        """Yield what the chunk decodes to, at most 1.2 MiB at once; exhaust it before feeding more."""
        self.compressed_bytes += len(chunk)
        if self.compressed_bytes > self._limits.compressed_bytes:
            raise CompressedTooLarge(
                f"cannot read archive: it is larger than {self._limits.compressed_bytes} bytes compressed"
            )
        self._sha256.update(chunk)
        for piece in self._frames.feed(chunk):
            try:
                output = self._frame.decompress(piece.data)
            except zstandard.ZstdError as error:
                raise ArchiveCorrupt(f"cannot read archive: {error}") from error
            if self._frame.eof != piece.ends_frame:
                raise ArchiveCorrupt("cannot read archive: a zstd frame does not end where its blocks say")
            if piece.ends_frame:
                self._frame = self._zstd.decompressobj(write_size=_WRITE_BYTES)
            if output:
                yield output

    def finish(self) -> str:
        """The SHA-256 of the compressed bytes in hex; ArchiveTruncated when the last frame is not whole."""
        self._frames.finish()
        return self._sha256.hexdigest()
