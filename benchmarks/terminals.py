"""Two terminals for measurements: a console of ours by a plain socket, and `docker exec`."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import time
import tty
import urllib.request
from collections.abc import Iterator
from typing import Final, Protocol

from benchmarks.measure import SERVER_CORE, on_core
from benchmarks.platforms import authorization
from tests.agent.console_world import find_commands
from tests.e2e.platform import Platform

_READ_BYTES: Final = 256 * 1024


class Terminal(Protocol):
    """Something that runs a program, takes what it reads and gives what it writes."""

    def write(self, data: bytes) -> None:
        """Give it input."""
        ...

    def read(self) -> bytes:
        """Some output, waiting for it."""
        ...


class Console:
    """A console of ours as a client without a library meets it; frames come as they are cut by the socket."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._rest = b""
        self._left = 0
        self._is_binary = False
        self._said = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._socket.recv(_READ_BYTES)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"no console: {head!r}")

    def write(self, data: bytes) -> None:
        """Send a masked binary message of less than 126 bytes."""
        self._socket.sendall(b"\x82" + bytes((0x80 | len(data),)) + b"\0\0\0\0" + data)

    def read(self) -> bytes:
        """The output of one read from the socket; text frames and pings are passed over."""
        shown = b""
        while not shown:
            data, self._rest = self._rest or self._socket.recv(_READ_BYTES), b""
            if not data:
                raise EOFError(f"the console has ended: {self._said!r}")
            shown = self._cut(data)
        return shown

    def close(self) -> None:
        """Say that it ends, and close."""
        self._socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        self._socket.close()

    def _cut(self, data: bytes) -> bytes:
        pieces, start = [], 0
        while start < len(data):
            if self._left == 0:
                size, body = data[start + 1 : start + 2], start + 2
                if size == b"\x7e":
                    body += 2
                if not size or body > len(data):
                    self._rest = data[start:] + self._socket.recv(_READ_BYTES)
                    break
                self._left = size[0] if size != b"\x7e" else int.from_bytes(data[start + 2 : body], "big")
                self._is_binary = data[start] == 0x82
                start = body
            piece = data[start : start + self._left]
            self._left -= len(piece)
            start += len(piece)
            if self._is_binary:
                pieces.append(piece)
            else:
                self._said = piece
        return b"".join(pieces)


class Exec:
    """A `docker exec` on the server's core, over pipes or (with `terminal`) a terminal of its own."""

    def __init__(self, container: str, command: str, *, terminal: bool) -> None:
        words = on_core(SERVER_CORE, ["docker", "exec", "-it" if terminal else "-i", container, "sh", "-c", command])
        if terminal:
            self._in, theirs = pty.openpty()
            self._out = self._in
            tty.setraw(theirs)
            self._process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs)
            os.close(theirs)
        else:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()

    def write(self, data: bytes) -> None:
        """Give it input."""
        os.write(self._in, data)

    def read(self) -> bytes:
        """Some output."""
        return os.read(self._out, _READ_BYTES)

    def close(self) -> None:
        """End the command line's own process; what runs in the container is left, as it leaves it."""
        self._process.kill()
        self._process.wait()
        for descriptor in {self._in, self._out} if self._process.stdin is None else ():
            os.close(descriptor)
        if self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.stdout.close()


@contextlib.contextmanager
def console(platform: Platform, service_id: str, command: str, *, terminal: bool = True) -> Iterator[Console]:
    """A console that runs the command, on a raw terminal or pipes, and has said `ready`; it is closed afterwards."""
    request = urllib.request.Request(
        f"{platform.api_url}/v1/services/{service_id}/console/tickets",
        data=json.dumps({"replica_index": 0}).encode(),
        headers={**authorization(platform), "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        path = json.load(answer)["ws_path"]
    opened = Console(("127.0.0.1", platform.ports.api), path if terminal else f"{path}&tty=false")
    try:
        prepare = "busybox stty raw -echo; PS1=; " if terminal else ""
        opened.write(f"{prepare}echo rea''dy\n".encode())
        _await_word(opened)
        opened.write(f"{command}\n".encode())
        yield opened
    finally:
        opened.close()


@contextlib.contextmanager
def execed(container: str, command: str, *, terminal: bool) -> Iterator[Exec]:
    """A `docker exec` of the command that has said `ready`; what it left in the container is killed afterwards."""
    prepare = "busybox stty raw -echo; " if terminal else ""
    opened = Exec(container, f"{prepare}echo ready; {command}", terminal=terminal)
    try:
        _await_word(opened)
        yield opened
    finally:
        opened.close()
        for pid in find_commands(rb"^busybox\x00(cat|yes)\x00"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _await_word(terminal: Terminal) -> None:
    seen, deadline = b"", time.monotonic() + 20
    while b"ready\n" not in seen and b"ready\r\n" not in seen:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the shell is not ready: {seen!r}")
        seen += terminal.read()
