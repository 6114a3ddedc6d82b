"""Word of the end of a container's first process, without asking the engine again and again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

from agent.core.faults import ContainerGone

_LOOK_SECONDS: Final = 0.05
_LOOK_MOST_SECONDS: Final = 2.0


class ContainerEnd:
    """Knows whether a run of a container is over: its process has ended, and the engine has taken in all that it wrote.

    Used as `with`. `tell` is called when the process ends; `inspect` asks for the engine's words on the container.
    """

    def __init__(
        self, inspected: dict[str, Any], inspect: Callable[[], Awaitable[dict[str, Any]]], *, tell: Callable[[], object]
    ) -> None:
        self._pid = int(inspected["State"].get("Pid") or 0)
        self._inspect = inspect
        self._tell = tell
        self._look_at = 0.0
        self._wait = _LOOK_SECONDS
        self._descriptor: int | None = None
        self.has_ended = self._pid == 0
        """Whether the process has."""

    def __enter__(self) -> Self:
        if not self.has_ended:
            try:
                self._descriptor = os.pidfd_open(self._pid)
            except OSError:
                self._note()
            else:
                asyncio.get_running_loop().add_reader(self._descriptor, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    async def is_over(self) -> bool:
        """Whether the run is over; asks the engine now and then once the process has ended."""
        if self._pid == 0:
            return True
        now = asyncio.get_running_loop().time()
        if not self.has_ended or now < self._look_at:
            return False
        try:
            self._pid = self._pid if int((await self._inspect())["State"].get("Pid") or 0) == self._pid else 0
        except ContainerGone:
            self._pid = 0
        self._look_at, self._wait = now + self._wait, min(_LOOK_MOST_SECONDS, self._wait * 1.5)
        return self._pid == 0

    @property
    def look_seconds(self) -> float:
        """How long to wait at most until `is_over` is asked again."""
        return self._wait if self.has_ended else _LOOK_MOST_SECONDS

    def _note(self) -> None:
        self.has_ended = True
        self._release()
        self._tell()

    def _release(self) -> None:
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
