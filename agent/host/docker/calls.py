"""Calls through the Docker SDK, which blocks: in a few threads, each with a deadline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from agent.core.faults import EngineRefused, EngineUnavailable
from agent.host.docker.session import EngineSession

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")


class EngineCalls:
    """Runs SDK calls in at most `threads` threads.

    A caller never waits beyond its deadline. A thread whose caller has left is stuck until the engine answers; once
    all are stuck, further calls fail at once.
    """

    def __init__(self, session: EngineSession, *, threads: int) -> None:
        self._session = session
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._lock = threading.Lock()
        self._stuck = 0
        self._idle: dict[str, list[APIClient]] = {}
        self._closed = False

    async def run(self, doing: str, work: Callable[[APIClient], T], *, timeout_seconds: float | None = None) -> T:
        """What `work` returns; raises EngineRefused for the engine's errors and EngineUnavailable for its silence."""
        seconds = timeout_seconds or self._session.call_timeout_seconds
        if self._closed:
            raise self._session.unavailable(doing, "the agent is stopping")
        if self._stuck >= self._threads:
            raise self._session.unavailable(doing, f"{self._stuck} calls are waiting for it beyond their deadline")
        try:
            async with asyncio.timeout(seconds):
                version = await self._session.fetch_api_version()
                future = self._pool.submit(self._work, version, work, seconds=seconds, doing=doing)
                try:
                    return await asyncio.wrap_future(future)
                finally:
                    self._leave(future)
        except TimeoutError as error:
            raise self._session.unavailable(doing, f"no answer within {seconds:g} s") from error

    async def close(self) -> None:
        """Take no more calls; threads that wait for the engine end at their own deadline."""
        with self._lock:
            self._closed = True
            clients = [client for idle in self._idle.values() for client in idle]
            self._idle.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in clients:
            client.close()

    def _leave(self, future: Future[T]) -> None:
        if future.done() or future.cancel():
            return
        with self._lock:
            self._stuck += 1
        future.add_done_callback(self._freed)

    def _freed(self, _: Future[T]) -> None:
        with self._lock:
            self._stuck -= 1

    def _work(self, version: str, work: Callable[[APIClient], T], *, seconds: float, doing: str) -> T:
        import requests
        from docker import errors

        try:
            client = self._take(version, seconds)
            try:
                return work(client)
            finally:
                self._give_back(version, client)
        except errors.APIError as error:
            status = error.response.status_code if error.response is not None else 500
            raise self._refused(doing, status, str(error.explanation or error)) from error
        except (requests.RequestException, errors.DockerException, OSError) as error:
            raise self._unavailable(doing, str(error)) from error

    def _take(self, version: str, seconds: float) -> APIClient:
        from docker import APIClient

        with self._lock:
            for old in [key for key in self._idle if key != version]:
                for client in self._idle.pop(old):
                    client.close()
            idle = self._idle.get(version)
            client = idle.pop() if idle else APIClient(base_url=f"unix://{self._session.socket}", version=version)
        # The SDK reads it for each request; its stubs say int where requests takes a float too.
        client.timeout = seconds  # type: ignore[assignment]
        return client

    def _give_back(self, version: str, client: APIClient) -> None:
        with self._lock:
            if not self._closed:
                self._idle.setdefault(version, []).append(client)
                return
        client.close()

    def _refused(self, doing: str, status: int, reason: str) -> EngineRefused:
        return self._session.refused(doing, status=status, reason=reason)

    def _unavailable(self, doing: str, why: str) -> EngineUnavailable:
        return self._session.unavailable(doing, why)
