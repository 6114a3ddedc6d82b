"""Reads HAProxy's access log datagrams, never holding up the proxy or the loop."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from agent.model.requests import AccessEntry
from agent.rules.access_log import parse_access_log
from kit.clock import Clock

_BATCH = 256
_LONGEST_DATAGRAM = 8192
_RECEIVE_BUFFER_BYTES = 4 << 20


class AccessLogReader:
    """Hands every logged request to `on_entry` while it is open.

    At most `entries_per_second` are parsed; more are taken off the socket and counted in `dropped`, which bounds what a
    flood costs. `unreadable` counts datagrams that told of no service's request. HAProxy never waits: what finds no
    reader it drops, and what finds a full socket it drops and counts. `group` may send beside root, None: the
    process's own.
    """

    def __init__(
        self,
        path: Path,
        on_entry: Callable[[AccessEntry], None],
        *,
        clock: Clock,
        entries_per_second: int = 5000,
        mode: int = 0o660,
        group: str | None = None,
    ) -> None:
        self._path = path
        self._on_entry = on_entry
        self._clock = clock
        self._entries_per_second = entries_per_second
        self._mode = mode
        self._group = group
        self._socket: socket.socket | None = None
        self._second = 0
        self._left = 0
        self.entries = 0
        self.dropped = 0
        self.unreadable = 0

    async def open(self) -> None:
        """Take the socket's path over from whoever had it, in one step, and start reading."""
        receiver = await asyncio.to_thread(self._bind)
        self._socket = receiver
        asyncio.get_running_loop().add_reader(receiver.fileno(), self._read, receiver)

    async def close(self) -> None:
        """Stop reading; the path stays for the next reader to take over."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _bind(self) -> socket.socket:
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{self._path.name}.new")
        fresh.unlink(missing_ok=True)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            receiver.bind(str(fresh))
            if self._group is not None:
                shutil.chown(fresh, group=self._group)
            fresh.chmod(self._mode)
            fresh.replace(self._path)
        except LookupError as error:
            receiver.close()
            raise ValueError(f"cannot open {self._path}: {error.args[0]}") from error
        except OSError:
            receiver.close()
            raise
        return receiver

    def _read(self, receiver: socket.socket) -> None:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._left = second, self._entries_per_second
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(_BATCH):
                datagram = receiver.recv(_LONGEST_DATAGRAM)
                if self._left <= 0:
                    self.dropped += 1
                    continue
                self._left -= 1
                entry = parse_access_log(datagram)
                if entry is None:
                    self.unreadable += 1
                else:
                    self.entries += 1
                    self._on_entry(entry)
