"""Time zones of the system, or of the package `tzdata` where the system has none."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import zoneinfo
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_LONGEST: Final = 64


class ZoneFiles:
    """Reads a zone with the first ask for it, and keeps it."""

    def __init__(self) -> None:
        self._known: dict[str, dt.tzinfo] = {"UTC": dt.UTC}

    async def find(self, name: str) -> dt.tzinfo | None:
        """The zone with that IANA name, or None."""
        if name not in self._known:
            if len(name) > _LONGEST or _NAME.fullmatch(name) is None:
                return None
            try:
                self._known[name] = await asyncio.to_thread(zoneinfo.ZoneInfo, name)
            except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
                return None
        return self._known[name]
