"""A container's json-file log on disk: its rotated files as one stream of bytes, oldest first."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self, TypeVar

from agent.rules.log_cursor import SLACK_USEC
from agent.rules.log_records import find_stamp

T = TypeVar("T")

READ_BYTES: Final = 128 * 1024
_LOOK_BYTES: Final = 1024 * 1024
_MOST_PARTS: Final = 32
_SEARCH_BYTES: Final = 256 * 1024
_UNSURE: Final = {errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL}


class LogFile:
    """Reads from the beginning of the oldest file to the end of the newest, and on as that grows and is rotated.

    Files are held open, so that one that is renamed or removed is read to its end. It has to be closed.
    """

    def __init__(self, path: Path, *, files: int) -> None:
        """Open what there is, up to `files` of them; OSError when it cannot be read."""
        self._path = path
        self._files = files
        self._parts = deque(_open_parts(path, files=files))
        self._at = 0
        self._unlooked = 0
        self.is_moving = False
        """Whether it was being rotated, or is removed, when it was last looked for."""
        self._buffer = memoryview(bytearray(READ_BYTES))

    @property
    def descriptor(self) -> int:
        """That of the file being read."""
        return self._parts[0]

    def seek_tail(self, records: int) -> None:
        """Begin with the last so many records, or with the first."""
        wanted = records + 1  # the line feed ahead of the first of them
        for number in reversed(range(len(self._parts))):
            end = os.fstat(self._parts[number]).st_size
            while end > 0:
                start = max(0, end - READ_BYTES)
                data = os.pread(self._parts[number], end - start, start)
                found = data.count(b"\n")
                if found >= wanted:
                    for _ in range(wanted):
                        data = data[: data.rfind(b"\n")]
                    self._begin(number, start + len(data) + 1)
                    return
                wanted, end = wanted - found, start

    def seek_since(self, usec: int) -> None:
        """Begin at or somewhat ahead of the first record stamped then or later."""
        wanted = usec - SLACK_USEC
        for number in reversed(range(len(self._parts))):
            part = self._parts[number]
            first = find_stamp(os.pread(part, _SEARCH_BYTES, 0), is_start=True)
            if first is None or first > wanted:
                continue
            low, high = 0, os.fstat(part).st_size
            while high - low > READ_BYTES:
                middle = (low + high) // 2
                stamp = find_stamp(os.pread(part, _SEARCH_BYTES, middle), is_start=False)
                if stamp is None or stamp >= wanted:
                    high = middle
                else:
                    low = middle
            self._begin(number, low + os.pread(part, _SEARCH_BYTES, low).find(b"\n") + 1 if low else 0)
            return

    async def read(self) -> bytes:
        """The next bytes; none when there are no more for now."""
        while True:
            data = await self._read_part()
            if data:
                self._at += len(data)
                self._unlooked += len(data)
                if self._unlooked >= _LOOK_BYTES and len(self._parts) < _MOST_PARTS:
                    # A writer that is faster rotates files away that were not reached yet: hold them open.
                    await self._look_further()
                return data
            if len(self._parts) > 1:
                # Its successor was there ahead of this last look: nothing is written to it any more.
                self._begin(1, 0)
            elif not await self._look_further():
                return b""

    def close(self) -> None:
        """Let go of the files."""
        while self._parts:
            os.close(self._parts.popleft())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, number: int, at: int) -> None:
        for _ in range(number):
            os.close(self._parts.popleft())
        self._at = at

    async def _read_part(self) -> bytes:
        try:
            size = os.preadv(self._parts[0], [self._buffer], self._at, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in _UNSURE:
                raise
            # It would wait for the disk, or cannot tell whether it would.
            return await asyncio.to_thread(os.pread, self._parts[0], READ_BYTES, self._at)
        return bytes(self._buffer[:size])

    async def _look_further(self) -> bool:
        """Whether another look may find more: the file was rotated, or cut back to its beginning."""
        self._unlooked = 0
        try:
            newer = await finish_in_thread(
                lambda: _find_newer(self._path, self._parts[-1], files=self._files), undo=_close_all
            )
        except FileNotFoundError:
            self.is_moving = True
            return False
        self.is_moving = False
        if newer:
            self._parts.extend(newer)
            return True
        if len(self._parts) == 1 and os.fstat(self._parts[0]).st_size < self._at:
            self._at = 0
            return True
        return False


async def finish_in_thread(call: Callable[[], T], *, undo: Callable[[T], object]) -> T:
    """What the blocking call returns, made in a thread; it is undone when nobody waits for it any more."""
    work = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(lambda done: None if done.exception() else undo(done.result()))
        raise


def _find_newer(path: Path, current: int, *, files: int) -> list[int]:
    """The files behind this one, opened; FileNotFoundError while it is being rotated, or when it is removed."""
    ours, newest = os.fstat(current), path.stat()
    if (newest.st_dev, newest.st_ino) == (ours.st_dev, ours.st_ino):
        return []
    found = _open_parts(path, files=files)
    older = [number for number, part in enumerate(found) if os.path.sameopenfile(part, current)]
    newer = older[0] + 1 if older else 0
    _close_all(found[:newer])
    return found[newer:]


def _close_all(parts: Iterable[int]) -> None:
    for part in parts:
        os.close(part)


def _open_parts(path: Path, *, files: int) -> list[int]:
    """The files from the oldest to the newest.

    They are opened the other way around: a rotation meanwhile lets one be found twice, and none be missed.
    """
    parts: list[int] = []
    seen: set[tuple[int, int]] = set()
    try:
        for number in range(files):
            name = f"{path}.{number}" if number else path
            try:
                part = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                if number:
                    continue
                raise
            about = os.fstat(part)
            if (about.st_dev, about.st_ino) in seen or not stat.S_ISREG(about.st_mode):
                os.close(part)
                continue
            seen.add((about.st_dev, about.st_ino))
            parts.append(part)
    except OSError:
        _close_all(parts)
        raise
    if not parts:
        raise OSError(errno.EINVAL, "no regular file", str(path))
    parts.reverse()
    return parts
