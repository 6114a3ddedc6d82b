"""Archives that no reader may accept, each with the code of its fault."""

from __future__ import annotations

from kit.archive import faults
from kit.faults import Fault
from tests.kit.archive.build import END, directory, file, gnu_long_name, header, pax, zst

WHOLE = zst(file(b"a", b"hello") + END)

TRAPS: dict[str, tuple[bytes, type[Fault]]] = {
    "dot-dot": (zst(file(b"../evil", b"x") + END), faults.PathForbidden),
    "dot-dot in the middle": (zst(file(b"a/../../evil", b"x") + END), faults.PathForbidden),
    "absolute": (zst(file(b"/evil", b"x") + END), faults.PathForbidden),
    "absolute directory": (zst(directory(b"/evil") + END), faults.PathForbidden),
    "pax path that escapes": (zst(pax({b"path": b"../evil"}) + file(b"fine", b"x") + END), faults.PathForbidden),
    "global pax path that escapes": (
        zst(pax({b"path": b"/evil"}, kind=b"g") + file(b"fine", b"x") + END),
        faults.PathForbidden,
    ),
    "pax path with NUL": (zst(pax({b"path": b"a\0/../b"}) + file(b"fine", b"x") + END), faults.PathForbidden),
    "blank pax path": (zst(pax({b"path": b""}) + file(b"fine", b"x") + END), faults.PathForbidden),
    "GNU long name that escapes": (zst(gnu_long_name(b"../" * 60 + b"evil") + file(b"f") + END), faults.PathForbidden),
    "ustar prefix that escapes": (zst(file(b"evil", prefix=b"..") + END), faults.PathForbidden),
    "symlink": (zst(header(b"s", kind=b"2", link=b"/etc") + END), faults.EntryForbidden),
    "hard link": (zst(file(b"a") + header(b"h", kind=b"1", link=b"a") + END), faults.EntryForbidden),
    "device": (zst(header(b"d", kind=b"3") + END), faults.EntryForbidden),
    "fifo": (zst(header(b"f", kind=b"6") + END), faults.EntryForbidden),
    "sparse": (zst(header(b"s", kind=b"S") + END), faults.EntryForbidden),
    "file twice": (zst(file(b"a") + file(b"a") + END), faults.PathTaken),
    "path through a file": (zst(file(b"a") + file(b"a/b") + END), faults.PathTaken),
    "file over directory": (zst(file(b"a/b") + file(b"a") + END), faults.PathTaken),
    "negative size": (zst(header(b"a", size_field=b"\xff" * 12) + END), faults.ArchiveCorrupt),
    "pax size lie": (zst(pax({b"size": b"1"}) + file(b"a", b"x" * 1024) + END), faults.ArchiveCorrupt),
    "pax size past the end": (zst(pax({b"size": b"99999"}) + file(b"a", b"x") + END), faults.ArchiveTruncated),
    "bad checksum": (zst(file(b"a", b"x") + header(b"b")[:-1] + b"x" + END), faults.ArchiveCorrupt),
    "truncated frame": (WHOLE[:-6], faults.ArchiveTruncated),
    "tar without its end": (zst(file(b"a", b"hello")), faults.ArchiveTruncated),
    "tar cut inside a file": (zst(header(b"a", size=5000) + bytes(100)), faults.ArchiveTruncated),
    "empty": (b"", faults.ArchiveTruncated),
    "uncompressed tar": (file(b"a", b"hello") + END, faults.NotZstd),
    "something else compressed": (zst(b"#!/bin/sh\n" * 200), faults.NotTar),
    "garbage after the frame": (WHOLE + b"garbage", faults.ArchiveCorrupt),
    "damaged block": (zst(file(b"a", b"hello")[:-1] + b"x" + END)[:-4] + b"sums", faults.ArchiveCorrupt),
    "file of three gigabytes": (zst(header(b"a", size=3 << 30)), faults.UncompressedTooLarge),
}
