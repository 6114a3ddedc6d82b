"""Images that a node holds of ours, and what is written down of them."""

from __future__ import annotations

import dataclasses
import datetime as dt

import msgspec


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down: the engine tells neither who wanted an image nor since when nobody does."""

    brought: dict[str, dt.datetime] = {}
    """References that were pulled or tagged for us and were not there before, with the moment."""
    unused: dict[str, dt.datetime] = {}
    """Ids of images of ours that nothing needs, with the moment since when."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OwnImage:
    """An image of ours."""

    id: str
    names: tuple[str, ...]
    """What to remove so that it goes as far as it is ours; tags come before digests."""
    size_bytes: int
    since: dt.datetime
    """When it came to this node."""
    is_needed: bool
    is_fresh: bool
    """Among the newest of its repository."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep has found and removed."""

    scanned: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    kept_in_use: int = 0
    kept_recent: int = 0
