"""Builds archives for tests, honest ones and others."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping

import zstandard

END = bytes(1024)


def zst(data: bytes, *, level: int = 1, checksum: bool = True) -> bytes:
    return zstandard.ZstdCompressor(level=level, write_checksum=checksum).compress(data)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def header(
    name: bytes,
    *,
    kind: bytes = b"0",
    size: int = 0,
    mode: int = 0o644,
    size_field: bytes | None = None,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    link: bytes = b"",
) -> bytes:
    """One header block with a true checksum; `size_field` replaces the twelve bytes of the size."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108] = b"%07o\0" % mode
    block[124:136] = size_field if size_field is not None else b"%011o\0" % size
    block[136:148] = b"%011o\0" % 0
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = magic
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def file(name: bytes, data: bytes = b"", **fields: int | bytes) -> bytes:
    return header(name, size=len(data), **fields) + pad(data)  # type: ignore[arg-type]


def directory(name: bytes) -> bytes:
    return header(name, kind=b"5", mode=0o755)


def pax(records: Mapping[bytes, bytes], *, kind: bytes = b"x") -> bytes:
    return file(b"PaxHeaders/x", b"".join(pax_record(key, value) for key, value in records.items()), kind=kind)


def pax_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def gnu_long_name(name: bytes, *, kind: bytes = b"L") -> bytes:
    return file(b"././@LongLink", name + b"\0", kind=kind, magic=b"ustar  \0")


def tarfile_bytes(members: Iterable[tuple[str, bytes | None]], tar_format: int) -> bytes:
    """What the standard library writes for files (with data) and directories (without), with fractional times."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1.5 if tar_format == tarfile.PAX_FORMAT else 1
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
