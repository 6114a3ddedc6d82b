"""Waiting for what other programs do, which no fake clock can hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], *, met: Callable[[T], bool] = bool, seconds: float = 20) -> T:
    """What `look` gives once `met` holds for it; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            seen = await look()
            if met(seen):
                return seen
            await asyncio.sleep(0.05)
