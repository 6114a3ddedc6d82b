"""Finds the frames and blocks of a zstd stream (RFC 8878), so that what a decoder makes of each piece is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kit.archive.faults import ArchiveCorrupt, ArchiveTruncated, NotZstd, WindowTooLarge
from kit.archive.limits import Limits

PIECE_OUTPUT_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 17
_MAGIC = 0xFD2FB528
_SKIPPABLE = 0x184D2A50
_SKIPPABLE_MASK = 0xFFFFFFF0
_MAGIC_BYTES = 4
_BLOCK_HEADER_BYTES = 3
_CHECKSUM_BYTES = 4
_COMPRESSED, _RESERVED = 2, 3
_RLE = 1
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_DICTIONARY_BYTES = (0, 1, 2, 4)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one frame that decode to at most PIECE_OUTPUT_BYTES and one block; `ends_frame` marks a frame's last."""

    data: memoryview | bytes
    ends_frame: bool


class Frames:
    """Cuts a zstd stream into pieces; faults name what no decoder should see."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = bytearray()
        self._need = _MAGIC_BYTES
        self._in_frame = False
        self._skip = 0
        self._last = False
        self._checksum = False
        self._block_bytes = 0
        self._output = 0
        self._frames = 0
        self._blocks = 0

    def feed(self, chunk: memoryview | bytes) -> Iterator[Piece]:
        """Yield the pieces that the chunk completes or goes on with; exhaust it before feeding more."""
        view = memoryview(chunk)
        at = start = 0
        end = len(view)
        while at < end:
            if self._skip:
                step = min(self._skip, end - at)
                at += step
                self._skip -= step
            else:
                step = min(self._need - len(self._held), end - at)
                self._held += view[at : at + step]
                at += step
                if len(self._held) < self._need:
                    break
                if self._in_frame:
                    self._enter_block(int.from_bytes(self._held, "little"))
                    self._held.clear()
                elif self._enter_frame():
                    yield self._take_header()
                    start = at
            if self._skip or not self._in_frame:
                continue
            if self._last:
                yield Piece(view[start:at], ends_frame=True)
                start = at
                self._begin_frame()
            elif self._output >= PIECE_OUTPUT_BYTES:
                yield Piece(view[start:at], ends_frame=False)
                start = at
                self._output = 0
        if self._in_frame and start < end:
            yield Piece(view[start:], ends_frame=False)

    def finish(self) -> None:
        """Raise ArchiveTruncated unless the stream ended with a whole frame."""
        if self._in_frame or self._held:
            raise ArchiveTruncated("cannot read archive: it ends inside a zstd frame")
        if not self._frames:
            raise ArchiveTruncated("cannot read archive: it is empty")

    def _take_header(self) -> Piece:
        """The frame's header as a piece; it is the whole frame when a skippable one has no content."""
        whole = self._last and not self._skip
        header = Piece(bytes(self._held), ends_frame=whole)
        self._held.clear()
        if whole:
            self._begin_frame()
        return header

    def _begin_frame(self) -> None:
        self._in_frame = False
        self._last = False
        self._need = _MAGIC_BYTES
        self._output = 0

    def _enter_frame(self) -> bool:
        """Read more of a frame's header; True when `_held` has all of it."""
        held = self._held
        magic = int.from_bytes(held[:_MAGIC_BYTES], "little")
        if magic & _SKIPPABLE_MASK == _SKIPPABLE:
            self._need = 8
            if len(held) < self._need:
                return False
            self._skip = int.from_bytes(held[4:8], "little")
            self._last = True
        elif magic != _MAGIC:
            if self._frames:
                raise ArchiveCorrupt("cannot read archive: unknown bytes follow its last zstd frame")
            raise NotZstd("cannot read archive: it is not zstd; send a tar file compressed with zstd")
        else:
            self._need = 5
            if len(held) < self._need:
                return False
            self._need = _header_bytes(held[4])
            if len(held) < self._need:
                return False
            self._enter_data_frame()
        self._in_frame = True
        self._frames += 1
        if self._frames > self._limits.frames:
            raise ArchiveCorrupt(f"cannot read archive: it has more than {self._limits.frames} zstd frames")
        return True

    def _enter_data_frame(self) -> None:
        held = self._held
        descriptor = held[4]
        single_segment = bool(descriptor & 0x20)
        self._checksum = bool(descriptor & 0x04)
        dictionary_at = 5 if single_segment else 6
        content_at = dictionary_at + _DICTIONARY_BYTES[descriptor & 3]
        if int.from_bytes(held[dictionary_at:content_at], "little"):
            raise ArchiveCorrupt("cannot read archive: it needs a zstd dictionary; compress without one")
        if single_segment:
            size_field = held[content_at:]
            window = int.from_bytes(size_field, "little") + (256 if len(size_field) == 2 else 0)
        else:
            base = 1 << (10 + (held[5] >> 3))
            window = base + (base >> 3) * (held[5] & 7)
        if window > self._limits.window_bytes:
            raise WindowTooLarge(
                f"cannot read archive: a zstd frame asks for a window of {window} bytes and"
                f" {self._limits.window_bytes} are allowed; compress without --long or --ultra"
            )
        self._block_bytes = min(window, _BLOCK_BYTES)
        self._need = _BLOCK_HEADER_BYTES

    def _enter_block(self, header: int) -> None:
        kind = header >> 1 & 3
        size = header >> 3
        if kind == _RESERVED or size > self._block_bytes:
            raise ArchiveCorrupt("cannot read archive: a zstd block has an impossible header")
        self._blocks += 1
        if self._blocks > self._limits.blocks:
            raise ArchiveCorrupt(f"cannot read archive: it has more than {self._limits.blocks} zstd blocks")
        self._output += self._block_bytes if kind == _COMPRESSED else size
        self._last = bool(header & 1)
        self._skip = 1 if kind == _RLE else size
        if self._last and self._checksum:
            self._skip += _CHECKSUM_BYTES


def _header_bytes(descriptor: int) -> int:
    single_segment = descriptor & 0x20
    content_size = _CONTENT_SIZE_BYTES[descriptor >> 6] or (1 if single_segment else 0)
    return 5 + (0 if single_segment else 1) + _DICTIONARY_BYTES[descriptor & 3] + content_size
