"""Consoles on the real engine for tests: a container of this node's, and a viewer that keeps what it is shown."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from agent.core.console_session import ConsoleSession
from agent.core.consoles import Consoles
from agent.host.console_files import ConsoleFiles
from agent.host.docker.engine import DockerEngine
from agent.host.processes import ProcessTable
from kit.clock import SystemClock
from tests.waiting import eventually
from wire.agent.consoles import ConsoleBegin, ConsoleEnded

PROC = Path("/proc")


class KeepingViewer:
    """Takes output, all or (when `is_full`) until it is drained by hand."""

    def __init__(self) -> None:
        self.shown = bytearray()
        self.ended: ConsoleEnded | None = None
        self.was_taken = False
        self.is_full = False
        self.pauses = 0
        self._room = asyncio.Event()
        self._news = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.shown += data
        self._news.set()

    async def drained(self) -> None:
        await self._room.wait()

    def make_room(self) -> None:
        """Take more from now on."""
        self.is_full = False
        self._room.set()

    def pause(self) -> None:
        self.pauses += 1

    def resume(self) -> None:
        pass

    def take_away(self) -> None:
        self.was_taken = True

    def end(self, ended: ConsoleEnded) -> None:
        self.ended = ended
        self._news.set()

    async def until(self, pattern: bytes, *, seconds: float = 20) -> re.Match[bytes]:
        """The first match of the pattern in what was shown; it is forgotten up to there."""
        async with asyncio.timeout(seconds):
            while (found := re.search(pattern, self.shown)) is None:
                self._news.clear()
                await self._news.wait()
        del self.shown[: found.end()]
        return found


def make_consoles(engine: DockerEngine, folder: Path, *, at_once: int = 16) -> Consoles:
    """Consoles as the agent builds them."""
    clock = SystemClock()
    return Consoles(
        engine,
        engine.shells,
        processes=ProcessTable(PROC, clock=clock),
        records=ConsoleFiles(folder),
        clock=clock,
        at_once=at_once,
    )


def begin(replica_id: str = "r-1", *, tty: bool = True, **changes: float) -> ConsoleBegin:
    """What controld asks for a fresh console."""
    return ConsoleBegin(
        replica_id=replica_id,
        cols=int(changes.get("cols", 100)),
        rows=int(changes.get("rows", 30)),
        grace_seconds=changes.get("grace_seconds", 60.0),
        idle_seconds=changes.get("idle_seconds", 600.0),
        limit_seconds=changes.get("limit_seconds", 3600.0),
        tty=tty,
    )


async def sit_down(consoles: Consoles, console_id: str, asked: ConsoleBegin) -> tuple[ConsoleSession, KeepingViewer]:
    """A console with a viewer who has seen what it has said so far."""
    session = await consoles.begin(console_id, asked)
    viewer = KeepingViewer()
    _, missed = session.attach(viewer, received=None)
    viewer.write(missed)
    return session, viewer


async def enter(
    consoles: Consoles, console_id: str, asked: ConsoleBegin | None = None
) -> tuple[ConsoleSession, KeepingViewer]:
    """A console with a viewer who has seen its prompt, and echo off so that only answers are shown."""
    session, viewer = await sit_down(consoles, console_id, asked or begin())
    session.write(viewer, b"stty -echo; PS1=; echo rea''dy\n")
    await viewer.until(rb"ready\r\n")
    return session, viewer


async def settled(viewer: KeepingViewer) -> int:
    """How many bytes the viewer has been shown, once no more come for half a second."""
    async with asyncio.timeout(20):
        shown = -1
        while shown != len(viewer.shown):
            shown = len(viewer.shown)
            await asyncio.sleep(0.5)
    return shown


async def end_of(session: ConsoleSession) -> ConsoleEnded:
    """How the console ended, once nothing of it is left."""
    await asyncio.wait_for(session.over.wait(), 10)
    assert session.ended is not None
    return session.ended


def read_marked(console_id: str) -> list[int]:
    """The processes on this host whose environment names the console."""
    mark = f"MOORAGE_CONSOLE={console_id}".encode()
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def await_marked(console_id: str, *, count: int) -> list[int]:
    """Those processes, once there are so many."""
    return await eventually(lambda: read_marked(console_id), met=lambda found: len(found) >= count)


def find_commands(pattern: bytes) -> list[int]:
    """The processes on this host whose command line holds the pattern; each of its words ends with NUL."""
    found = []
    for entry in PROC.iterdir():
        try:
            if entry.name.isdigit() and re.search(pattern, (entry / "cmdline").read_bytes()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def list_records(folder: Path) -> list[str]:
    """The files in which consoles are written down."""
    return sorted(each.name for each in folder.glob("*.json"))


def is_alive(pid: int) -> bool:
    """Whether the process runs, zombies left out."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def gone(pids: list[int], *, seconds: float) -> bool:
    """Whether all of them end within that time."""
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
