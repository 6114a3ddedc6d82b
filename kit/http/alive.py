"""Pings on a WebSocket, so that proxies between keep it open and a side that has gone is noticed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from kit.clock import Clock
from kit.http.websocket import DirectEnd

_SILENT_PINGS = 2


class Direct(Protocol):
    """A WebSocket that says whether anything came."""

    @property
    def heard(self) -> int:
        """A number that changes whenever anything comes from the other side."""
        ...

    @property
    def end(self) -> DirectEnd:
        """Its own end."""
        ...


async def watch_silence(
    websocket: Direct, ping: Callable[[], Awaitable[Any]], *, clock: Clock, ping_seconds: float
) -> None:
    """Ping at that pace, and return once two pings in a row have met with silence, or the connection has gone.

    While we take nothing from the other side, its silence is our own.
    """
    silent, heard = 0, websocket.heard
    while silent < _SILENT_PINGS:
        try:
            await ping()
        except ConnectionError:
            return
        await clock.sleep(ping_seconds)
        silent = 0 if websocket.heard != heard or websocket.end.is_paused else silent + 1
        heard = websocket.heard
