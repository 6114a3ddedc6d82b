"""The 512-byte header block of a tar entry: its fields, its numbers and its checksum."""

from __future__ import annotations

import struct
import zlib

from kit.archive.faults import ArchiveCorrupt

BLOCK_BYTES = 512
_FIELDS = struct.Struct("100s8s16x12s12x8s1s100x6s82x155s12x")
_CHECKSUM_AT, _CHECKSUM_END = 148, 156
_SPACES = 8 * 0x20
_USTAR = b"ustar\0"
_LOW = 0xFFFF


def parse_header(block: bytes) -> tuple[bytes, bytes, int, int] | None:
    """Type flag, name, size in bytes and mode; None when the checksum tells that this is no header."""
    name, mode, size, checksum, kind, magic, prefix = _FIELDS.unpack(block)
    # Adler-32 of 256 bytes from zero holds their plain sum in its low half, since 256 * 255 is below its modulus.
    total = (zlib.adler32(block[:256], 0) & _LOW) + (zlib.adler32(block[256:], 0) & _LOW)
    total += _SPACES - sum(block[_CHECKSUM_AT:_CHECKSUM_END])
    if _octal(checksum.strip(b" \0")) != total:
        return None
    name = name.partition(b"\0")[0]
    if magic == _USTAR and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    return kind, name, parse_number(size), parse_number(mode)


def parse_number(field: bytes) -> int:
    """The value of an octal or base-256 field, zero when blank; ArchiveCorrupt when negative or not a number."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise ArchiveCorrupt("cannot read archive: a header holds a negative number")
        return int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    number = _octal(digits)
    if number is None:
        raise ArchiveCorrupt("cannot read archive: a header holds a number that is not octal")
    return number


def _octal(digits: bytes) -> int | None:
    """Plain octal digits as a number; what `int` would take besides them, such as a sign, is none."""
    try:
        return int(digits, 8) if digits.isdigit() else None
    except ValueError:
        return None
