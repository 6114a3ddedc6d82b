"""Reads a tar file (ustar, GNU, pax) from chunks of bytes into entries and their data; it touches nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kit.archive.faults import (
    ArchiveCorrupt,
    ArchiveTruncated,
    EntryForbidden,
    NotTar,
    TooManyEntries,
    UncompressedTooLarge,
    render_name,
)
from kit.archive.header import BLOCK_BYTES, parse_header
from kit.archive.limits import Limits
from kit.archive.pax import parse_pax

_ZEROS = bytes(BLOCK_BYTES)
_FILE_KINDS = frozenset((b"0", b"\0", b"7"))
_DIRECTORY_KIND = b"5"
_EXTENSION_KINDS = frozenset((b"x", b"g", b"L", b"K"))
_FORBIDDEN_KINDS: Mapping[bytes, str] = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a fifo",
    b"D": "a GNU directory dump",
    b"M": "a continued file",
    b"S": "a sparse file",
    b"V": "a volume label",
}
_EXECUTABLE = 0o100
_SIZE_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file or directory: its name as the archive spells it and, of a file, the bytes that follow."""

    name: bytes
    is_directory: bool
    size_bytes: int
    executable: bool


class Parser:
    """Reads a tar file chunk by chunk and holds no more than one header of it; a fault ends its use."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = bytearray()
        self._left = 0
        self._padding = 0
        self._extension: bytearray | None = None
        self._extension_kind = b""
        self._globals: dict[bytes, bytes] = {}
        self._records: dict[bytes, bytes] = {}
        self._seen: set[bytes] = set()
        self._long_name: bytes | None = None
        self._extensions_bytes = 0
        self._overhead_bytes = 0
        self._begun = False
        self._ended = False
        self.entries = 0
        self.files = 0
        self.uncompressed_bytes = 0

    def feed(self, chunk: bytes | memoryview) -> Iterator[Entry | memoryview]:
        """Yield each entry, then its data in pieces that are views of the chunk; exhaust it before feeding more."""
        view = memoryview(chunk)
        at = 0
        end = len(view)
        while at < end:
            if self._left:
                data = view[at : at + self._left]
                at += len(data)
                self._left -= len(data)
                if self._extension is None:
                    yield data
                else:
                    self._extension += data
                    if not self._left:
                        self._close_extension()
            elif self._padding:
                step = min(self._padding, end - at)
                at += step
                self._padding -= step
            elif self._ended:
                self._check_zeros(view[at:])
                return
            else:
                if not self._held and end - at >= BLOCK_BYTES:
                    block = bytes(view[at : at + BLOCK_BYTES])
                    at += BLOCK_BYTES
                else:
                    step = min(BLOCK_BYTES - len(self._held), end - at)
                    self._held += view[at : at + step]
                    at += step
                    if len(self._held) < BLOCK_BYTES:
                        return
                    block = bytes(self._held)
                    self._held.clear()
                entry = self._open(block)
                if entry is not None:
                    yield entry

    def finish(self) -> None:
        """Raise ArchiveTruncated unless the end of the archive was seen."""
        if not self._ended:
            raise ArchiveTruncated("cannot read archive: the tar file ends before its end mark")

    def _open(self, block: bytes) -> Entry | None:
        """The entry that the block begins; None for the end mark and for headers that describe the next entry."""
        self._spend(BLOCK_BYTES)
        if block == _ZEROS:
            if self._seen:
                raise ArchiveCorrupt("cannot read archive: an extended header is followed by no entry")
            self._ended = True
            return None
        header = parse_header(block)
        if header is None:
            if self._begun:
                raise ArchiveCorrupt("cannot read archive: a tar header has the wrong checksum")
            raise NotTar("cannot read archive: what was compressed is not a tar file")
        self._begun = True
        kind, name, size, mode = header
        if kind in _EXTENSION_KINDS:
            self._open_extension(kind, size)
            return None
        is_directory = kind == _DIRECTORY_KIND or (kind == b"\0" and name[-1:] == b"/")
        if self._seen or self._globals:
            name, size = self._apply_extensions(name, size)
        if not is_directory and kind not in _FILE_KINDS:
            what = _FORBIDDEN_KINDS.get(kind, f"of unknown type {ascii(kind)[1:]}")
            raise _forbidden(name, what)
        return self._admit(name, size, is_directory=is_directory, executable=bool(mode & _EXECUTABLE))

    def _admit(self, name: bytes, size: int, *, is_directory: bool, executable: bool) -> Entry:
        self.entries += 1
        if self.entries > self._limits.entries:
            raise TooManyEntries(f"cannot read archive: it has more than {self._limits.entries} entries")
        if is_directory:
            if size:
                raise ArchiveCorrupt(f"cannot read archive: the directory {render_name(name)} claims to hold data")
        else:
            self.files += 1
            self.uncompressed_bytes += size
            if self.uncompressed_bytes > self._limits.uncompressed_bytes:
                raise UncompressedTooLarge(
                    f"cannot read archive: its files hold more than {self._limits.uncompressed_bytes} bytes,"
                    f" reached at {render_name(name)}"
                )
            self._expect(size)
        return Entry(name, is_directory, size, executable)

    def _open_extension(self, kind: bytes, size: int) -> None:
        self._extensions_bytes += size
        if size > self._limits.extension_bytes or self._extensions_bytes > self._limits.extensions_bytes:
            raise ArchiveCorrupt(f"cannot read archive: an extended header of {size} bytes passes the limit")
        if kind in self._seen:
            raise ArchiveCorrupt("cannot read archive: an entry has two extended headers of one type")
        if kind != b"g":
            self._seen.add(kind)
        self._extension_kind = kind
        self._spend(size)
        self._expect(size)
        if size:
            self._extension = bytearray()

    def _close_extension(self) -> None:
        data = bytes(self._extension or b"")
        self._extension = None
        if self._extension_kind == b"x":
            self._records = _known(parse_pax(data))
        elif self._extension_kind == b"g":
            self._globals.update(_known(parse_pax(data)))
        elif self._extension_kind == b"L":
            self._long_name = data.partition(b"\0")[0]

    def _apply_extensions(self, name: bytes, size: int) -> tuple[bytes, int]:
        """Name and size as extended headers state them; uses the headers up and refuses two names for one entry."""
        records = {**self._globals, **self._records}
        path = records.get(b"path")
        if self._long_name is not None:
            if path is not None:
                raise ArchiveCorrupt(
                    f"cannot read archive: the entry {render_name(name)} has both a GNU and a pax long name"
                )
            name = self._long_name
        elif path is not None:
            name = path
        if b"GNU.sparse" in records:
            raise _forbidden(name, "a sparse file")
        digits = records.get(b"size")
        if digits is not None:
            if not digits.isdigit() or len(digits) > _SIZE_DIGITS:
                raise ArchiveCorrupt(f"cannot read archive: the pax size of {render_name(name)} is not a number")
            size = int(digits)
        self._seen.clear()
        self._records = {}
        self._long_name = None
        return name, size

    def _expect(self, size: int) -> None:
        self._left = size
        self._padding = -size % BLOCK_BYTES
        self._spend(self._padding)

    def _spend(self, overhead_bytes: int) -> None:
        self._overhead_bytes += overhead_bytes
        if self._overhead_bytes > self._limits.overhead_bytes:
            raise UncompressedTooLarge(
                f"cannot read archive: besides its files it holds more than {self._limits.overhead_bytes} bytes"
            )

    def _check_zeros(self, rest: memoryview) -> None:
        self._spend(len(rest))
        if bytes(rest) != bytes(len(rest)):
            raise ArchiveCorrupt("cannot read archive: bytes follow the end of the tar file")


def _known(records: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The records that change how an entry is read; every way of saying that a file is sparse under one key."""
    known = {key: records[key] for key in (b"path", b"size") if key in records}
    if any(key.startswith(b"GNU.sparse.") for key in records):
        known[b"GNU.sparse"] = b""
    return known


def _forbidden(name: bytes, what: str) -> EntryForbidden:
    return EntryForbidden(
        f"cannot read archive: {render_name(name)} is {what}; only regular files and directories are accepted"
    )
