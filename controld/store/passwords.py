"""Password hashes by argon2id, worked out in a few threads of their own so that they stall nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHash

from controld.core.faults import PasswordsBusy

T = TypeVar("T")

_PREFIX = "argon2id:"


class Passwords:
    """Makes and checks hashes; at most `threads` at once, and with more than `waiting` in line it refuses."""

    def __init__(
        self,
        *,
        memory_kib: int = 47104,
        rounds: int = 3,
        threads: int = 2,
        waiting: int = 32,
    ) -> None:
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._waiting = waiting
        self._under_way = 0
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to keep, with its parameters and a fresh salt."""
        return await self._run(self._hash, password)

    async def verify(self, password: str, *, against: str | None) -> bool:
        """Whether the password is the one; None costs as much time as a hash and is always False."""
        return await self._run(self._verify, password, against)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash(self, password: str) -> str:
        return _PREFIX + self._hasher.hash(password)

    def _verify(self, password: str, against: str | None) -> bool:
        if against is None:
            self._dummy = self._dummy or self._hash("nobody has this password")
        known = against or self._dummy or ""
        try:
            self._hasher.verify(known.removeprefix(_PREFIX), password)
        except (Argon2Error, InvalidHash):
            return False
        return against is not None

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        if self._under_way > self._waiting:
            raise PasswordsBusy("cannot check a password now: too many sign in at once", retry_after_seconds=2)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._under_way -= 1
