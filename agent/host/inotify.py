"""Word of files that grow or move, from the kernel's inotify."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Self

_IN_MODIFY: Final = 0x2
_IN_MOVE_SELF: Final = 0x800
_IN_NONBLOCK: Final = os.O_NONBLOCK
_IN_CLOEXEC: Final = os.O_CLOEXEC
_EVENT: Final = struct.Struct("iIII")
_READ_BYTES: Final = 64 * 1024


class Inotify:
    """Watches open files; it starts with the first watch, on that watch's loop, and ends with the last."""

    def __init__(self) -> None:
        self._fd = -1
        self._tell: dict[int, list[Callable[[], object]]] = {}

    @contextmanager
    def watch(self, file: int, tell: Callable[[], object]) -> Iterator[None]:
        """Call `tell` on the loop whenever the open file was written to or renamed; OSError when it cannot be told."""
        libc = ctypes.CDLL(None, use_errno=True)
        if self._fd < 0:
            self._fd = _check(libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC))
            asyncio.get_running_loop().add_reader(self._fd, self._read)
        try:
            path = f"/proc/self/fd/{file}".encode()
            number = _check(libc.inotify_add_watch(self._fd, path, _IN_MODIFY | _IN_MOVE_SELF))
            # The kernel has one watch for a file, however often it is asked for.
            self._tell.setdefault(number, []).append(tell)
            try:
                yield
            finally:
                self._tell[number].remove(tell)
                if not self._tell[number]:
                    del self._tell[number]
                    libc.inotify_rm_watch(self._fd, number)
        finally:
            if not self._tell:
                asyncio.get_running_loop().remove_reader(self._fd)
                os.close(self._fd)
                self._fd = -1

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        start = 0
        while start + _EVENT.size <= len(data):
            number, _, _, length = _EVENT.unpack_from(data, start)
            start += _EVENT.size + length
            for tell in self._tell.get(number, ()):
                tell()


class FileGrowth:
    """Calls `tell` when the file that it is aimed at grows, or is renamed; used as `with`."""

    def __init__(self, inotify: Inotify, tell: Callable[[], object]) -> None:
        self._inotify = inotify
        self._tell = tell
        self._stack = ExitStack()
        self._aimed = -1
        self.is_blind = False
        """Whether the kernel does not tell."""

    def aim(self, file: int) -> bool:
        """Watch this open file from now on; whether it is another than before."""
        if file == self._aimed:
            return False
        self._stack.close()
        self._aimed, self.is_blind = file, False
        try:
            self._stack.enter_context(self._inotify.watch(file, self._tell))
        except OSError:
            self.is_blind = True
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _check(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
