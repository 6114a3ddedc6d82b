"""The two postures of a message: one refuses what it does not know, the other passes over it."""

from __future__ import annotations

import msgspec


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message whose unknown fields are refused: what controld asks of an agent."""


class Lenient(msgspec.Struct, frozen=True, kw_only=True):
    """A message whose unknown fields are skipped, so that a newer peer can say more."""
