"""What was found in an archive."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts of an archive that was read or written to its end."""

    entries: int
    """Files and directories that have a header."""
    files: int
    uncompressed_bytes: int
    """Sum of the files' sizes."""
    compressed_bytes: int
    sha256: str
    """Of the compressed bytes, 64 lowercase hex digits."""
