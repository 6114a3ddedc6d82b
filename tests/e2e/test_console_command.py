"""`moorage console` on a terminal and on a pipe, while the network and controld come and go."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.config import Login, write_login
from tests.e2e.platform import ROOT, Platform, make_place

pytestmark = pytest.mark.timeout(300)


class Screen:
    """A `moorage console` on a terminal of its own."""

    def __init__(self, config: Path) -> None:
        self._keys, theirs = pty.openpty()
        self.resize(100, 30)
        command = [sys.executable, "-m", "client", "--config", str(config), "console", "commanded"]
        # Only the terminal's own session is told of its size.
        own = ["setsid", "--ctty", "--wait", *command]
        self.process = subprocess.Popen(own, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._shown = b""

    def resize(self, cols: int, rows: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._keys, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text: str) -> None:
        """Type text."""
        os.write(self._keys, text.encode())

    def until(self, pattern: bytes, *, seconds: float = 30) -> None:
        """Wait until the pattern is shown; what is ahead of it is forgotten."""
        os.set_blocking(self._keys, False)
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self._shown)) is None:
            assert time.monotonic() < deadline, self._shown
            with contextlib.suppress(BlockingIOError):
                self._shown += os.read(self._keys, 65536)
            time.sleep(0.01)
        self._shown = self._shown[found.end() :]

    def end(self) -> None:
        """Drop it."""
        self.process.kill()
        self.process.wait()
        os.close(self._keys)


@pytest.fixture(scope="module")
def config(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A login where there is a service to open a console in."""
    path = tmp_path_factory.mktemp("login") / "login.json"
    write_login(path, Login(url=platform.api_url, token=platform.token))
    asyncio.run(make_place(platform, "commanded"))
    return path


@pytest.fixture
def screen(config: Path) -> Iterator[Screen]:
    opened = Screen(config)
    yield opened
    opened.end()


def test_a_terminal_is_raw_has_its_size_and_ends_with_the_shells_status(screen: Screen) -> None:
    screen.type("busybox stty -echo; PS1=; echo rea''dy\n")
    screen.until(rb"ready\r\n")
    screen.type("busybox stty size\n")
    screen.until(rb"30 100\r\n")
    screen.resize(90, 20)
    screen.type("busybox sleep 0.3; busybox stty size\n")
    screen.until(rb"20 90\r\n")
    screen.type("trap 'echo interr''upted' INT; busybox sleep 30\n")
    time.sleep(0.5)
    screen.type("\x03")
    screen.until(rb"interrupted\r\n")
    screen.type("exit 5\n")
    assert screen.process.wait(20) == 5


async def test_it_comes_back_to_its_shell_after_controld_was_killed(screen: Screen, platform: Platform) -> None:
    await asyncio.to_thread(screen.type, "busybox stty -echo; PS1=; kept=yes; echo rea''dy\n")
    await asyncio.to_thread(screen.until, rb"ready\r\n")
    killed = await platform.kill("controld")
    await asyncio.to_thread(screen.until, rb"connection lost, coming back")
    await platform.await_back("controld", killed)
    await asyncio.to_thread(screen.until, rb"\[back\]")
    await asyncio.to_thread(screen.type, "echo kept-$kept; exit\n")
    await asyncio.to_thread(screen.until, rb"kept-yes\r\n")
    assert await asyncio.to_thread(screen.process.wait, 20) == 0


def test_a_pipe_is_typed_and_ends_the_shell(config: Path) -> None:
    command = [sys.executable, "-m", "client", "--config", str(config), "console", "commanded"]
    done = subprocess.run(
        command, cwd=ROOT, input=b"echo $((6 * 7))-answered\n", capture_output=True, check=False, timeout=60
    )
    assert b"42-answered\r\n" in done.stdout, done
    assert done.returncode == 0
    missing = subprocess.run([*command, "--replica", "3"], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert missing.returncode == 1
    assert missing.stderr == b"error: selected replica is not running\n"


def test_without_a_terminal_output_comes_as_it_is_and_the_pipes_end_is_the_shells(config: Path) -> None:
    command = [sys.executable, "-m", "client", "--config", str(config), "console", "commanded", "--no-tty"]
    script = b"busybox yes line | busybox head -n 100000; printf '\\004\\015'; (exit 5)\n"
    done = subprocess.run(command, cwd=ROOT, input=script, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (5, b"line\n" * 100_000 + b"\x04\r"), done.stderr
