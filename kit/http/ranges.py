"""Which part of a representation a Range header asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Final

_ONE: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)


def parse_range(header: str | None, *, size_bytes: int) -> tuple[int, int] | None:
    """Offset and length of the part, or None for the whole; ValueError where nothing of it is there.

    Several parts at once, other units and what cannot be read are answered with the whole, as the RFC allows.
    """
    found = None if header is None else _ONE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size_bytes - int(found[2])), size_bytes
    else:
        start, end = int(found[1]), min(size_bytes, int(found[2]) + 1 if found[2] else size_bytes)
    if start >= end:
        raise ValueError(f"cannot send {header}: there are {size_bytes} bytes")
    return start, end - start
