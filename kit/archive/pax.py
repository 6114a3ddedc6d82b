"""The records of a pax extended header (POSIX.1-2017, pax Interchange Format)."""

from __future__ import annotations

from kit.archive.faults import ArchiveCorrupt

_LENGTH_DIGITS = 10


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """Keys and values in order, the last of a key winning; ArchiveCorrupt when a record is not what it says."""
    records: dict[bytes, bytes] = {}
    at = 0
    end = len(data)
    while at < end:
        space = data.find(b" ", at, at + _LENGTH_DIGITS + 1)
        digits = data[at:space] if space > at else b""
        after = at + int(digits) if digits.isdigit() else end + 1
        if after > end or after <= space + 1 or data[after - 1] != 0x0A:
            raise ArchiveCorrupt("cannot read archive: a pax header has a record of the wrong length")
        key, equals, value = data[space + 1 : after - 1].partition(b"=")
        if not equals or not key:
            raise ArchiveCorrupt("cannot read archive: a pax header has a record without a key")
        records[key] = value
        at = after
    return records
