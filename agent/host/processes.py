"""Finds and ends the processes that a console started in a container."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import select
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agent.core.faults import ProcessesLeft
from agent.model.consoles import Leader
from agent.rules.processes import Process, parse_stat, pick_members
from kit.clock import Clock

MARK: Final = "MOORAGE_CONSOLE"
"""The variable in which whatever a console starts inherits its id."""

_POLL_SECONDS: Final = 0.02
_KILL_SECONDS: Final = 1.0
_KILLS: Final = 5


class ProcessTable:
    """Reads processes below `proc_dir`, and signals them by descriptors that no other process can come to stand for."""

    def __init__(self, proc_dir: Path, *, clock: Clock) -> None:
        self._proc_dir = proc_dir
        self._clock = clock

    async def end(self, container_id: str, *, console_id: str, leader: Leader | None, grace_seconds: float) -> int:
        """Hang up all that the console started, kill what is left after the grace, and return how many they were.

        SIGHUP is what a terminal that is closed sends; shells that are asked to read on end by it, where SIGTERM does
        nothing to them. Raises ProcessesLeft when some outlive even SIGKILL for seconds.
        """
        ended: set[tuple[int, int]] = set()
        seconds = grace_seconds
        signals: tuple[signal.Signals, ...] = (signal.SIGHUP, signal.SIGTERM, signal.SIGCONT)
        for _ in range(1 + _KILLS):
            found, descriptors = await asyncio.to_thread(
                self._strike, container_id, console_id, leader=leader, signals=signals
            )
            if not found:
                return len(ended)
            ended.update((process.pid, process.started) for process in found)
            try:
                await self._wait(descriptors, seconds)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            seconds, signals = _KILL_SECONDS, (signal.SIGKILL,)
        raise ProcessesLeft(f"cannot end what console {console_id} started: processes outlive SIGKILL")

    def read_leader(self, pid: int, container_id: str) -> Leader | None:
        """The process as a leader; None when it is gone or not in the container."""
        process = self._read(pid, container_id)
        return None if process is None else Leader(pid=pid, started=process.started)

    def _strike(
        self, container_id: str, console_id: str, *, leader: Leader | None, signals: Iterable[signal.Signals]
    ) -> tuple[list[Process], list[int]]:
        """Send the signals to all that the console started: who they are, and descriptors to wait on."""
        found = self._find(container_id, console_id, leader)
        descriptors = []
        for process in found:
            try:
                descriptor = os.pidfd_open(process.pid)
            except ProcessLookupError:
                continue
            now = self._read(process.pid, container_id)
            if now is None or now.started != process.started:
                os.close(descriptor)  # it has ended, and may be somebody else by now
                continue
            descriptors.append(descriptor)
            for number in signals:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
        return found, descriptors

    def _find(self, container_id: str, console_id: str, leader: Leader | None) -> list[Process]:
        mark = f"{MARK}={console_id}".encode()
        found = []
        for entry in self._proc_dir.iterdir():
            if not entry.name.isdigit() or (process := self._read(int(entry.name), container_id)) is None:
                continue
            found.append(dataclasses.replace(process, is_marked=self._is_marked(process.pid, mark)))
        return pick_members(found, shell=None if leader is None else (leader.pid, leader.started))

    def _read(self, pid: int, container_id: str) -> Process | None:
        """A live process in the container's cgroup."""
        folder = self._proc_dir / str(pid)
        try:
            if container_id not in (folder / "cgroup").read_text():
                return None
            return parse_stat((folder / "stat").read_text(errors="replace"))
        except OSError:  # it has ended meanwhile
            return None

    def _is_marked(self, pid: int, mark: bytes) -> bool:
        try:
            return mark in (self._proc_dir / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            return False

    async def _wait(self, descriptors: list[int], seconds: float) -> None:
        """Return when all have ended, or after that long."""
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        left = len(descriptors)
        deadline = self._clock.monotonic() + seconds
        while left and self._clock.monotonic() < deadline:
            for descriptor, _ in poll.poll(0):
                poll.unregister(descriptor)
                left -= 1
            if left:
                await self._clock.sleep(_POLL_SECONDS)
