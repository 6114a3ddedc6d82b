"""Identifiers as values that are handed in: UUIDv7 for records, random strings for secrets."""

from __future__ import annotations

import secrets
from typing import Protocol


class Ids(Protocol):
    """Makes identifiers and secrets."""

    def new_id(self) -> str:
        """A fresh UUIDv7 (RFC 9562), lowercase and hyphenated; later ones sort after earlier ones."""
        ...

    def new_secret(self, size_bytes: int = 32) -> str:
        """That many random bytes as lowercase hexadecimal."""
        ...


class SystemIds:
    """Identifiers from the operating system's random source and clock."""

    def new_id(self) -> str:
        """A fresh UUIDv7."""
        from uuid_utils import uuid7

        return str(uuid7())

    def new_secret(self, size_bytes: int = 32) -> str:
        """Random bytes from `secrets`, in hexadecimal."""
        return secrets.token_hex(size_bytes)
