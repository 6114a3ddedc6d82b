"""Background tasks that have a name and an owner, and end when the owner closes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Tasks:
    """Owns running tasks: a failure is logged with the task's name, and `close` ends them all and waits."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: set[asyncio.Task[Any]] = set()
        self._unbroken: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run the coroutine under this owner; after `close` it is refused with RuntimeError."""
        if self._closed:
            work.close()
            raise RuntimeError(f"cannot start task {name}: {self._name} is closed")
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}:{name}")
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def finish(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns; however often the caller is cancelled, it runs to its end first."""
        task: asyncio.Task[T] = self.start(name, work)
        self._unbroken.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            self._log_failure(task)
            raise

    def __len__(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """Cancel what still runs, but for work to finish, and wait for all to end; calling it again does nothing."""
        self._closed = True
        while self._running:
            running = [task for task in self._running if task is not asyncio.current_task()]
            if not running:
                return
            for task in running:
                if task not in self._unbroken:
                    task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task in self._unbroken:
            self._unbroken.discard(task)  # who waits for it is told
        else:
            self._log_failure(task)

    def _log_failure(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", extra={"task": task.get_name()}, exc_info=error)
