"""Waiting for what other programs do, which no fake clock can hurry."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    look: Callable[[], Awaitable[T]], *, met: Callable[[T], object] = bool, seconds: float = 30
) -> T: ...


@overload
async def eventually(look: Callable[[], T], *, met: Callable[[T], object] = bool, seconds: float = 30) -> T: ...


async def eventually(look: Callable[[], Any], *, met: Callable[[Any], object] = bool, seconds: float = 30) -> Any:
    """What `look` gives once `met` holds for it; TimeoutError with what it gave last when it does not in time."""
    seen: Any = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                seen = look()
                if inspect.isawaitable(seen):
                    seen = await seen
                if met(seen):
                    return seen
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise TimeoutError(f"not met within {seconds} s, last seen: {seen!r}") from error
