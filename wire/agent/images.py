"""The images that a node holds of ours: how many, and removing those that nothing needs.

`GET /images` answers `ImageCache`. `POST /images/sweep` takes `SweepAsked`, removes, and answers `SweepDone`.
"""

from __future__ import annotations

import datetime as dt

from wire.base import Lenient, Strict
from wire.spec import Origin


class ImageCache(Lenient, frozen=True):
    """What the node built or pulled and still holds; layers that images share count with each of them."""

    entries: int
    total_bytes: int
    oldest_at: dt.datetime | None = None
    """When the oldest of them came to the node; absent: there is none."""


class KeptImage(Strict, frozen=True):
    """An image that a kept artifact is made of, as `wire.spec.Replica` names it."""

    image: str
    origin: Origin


class SweepAsked(Strict, frozen=True):
    """Remove what is no kept artifact's, what the node itself has no use for, and has had none for so long."""

    kept: tuple[KeptImage, ...]
    idle_seconds: float


class SweepDone(Lenient, frozen=True):
    """What a sweep has done, and what the node holds after it."""

    cache: ImageCache
    scanned: int
    deleted: int
    deleted_bytes: int
    kept_in_use: int
    kept_recent: int
    """Of no use now, and not for long enough."""
