"""Logs of containers of ours, from the engine's files where they are in reach, else by its API."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from agent.core.faults import ContainerGone, EngineRefused
from agent.host.docker.container_end import ContainerEnd
from agent.host.docker.containers import EngineContainers
from agent.host.docker.events import to_nanoseconds
from agent.host.docker.log_file import LogFile, finish_in_thread
from agent.host.docker.session import EngineSession
from agent.host.inotify import FileGrowth, Inotify
from agent.model.engine import EPOCH, LoggedLine
from agent.rules.engine_events import render_since
from agent.rules.log_frames import LogFrames, TerminalLines
from agent.rules.log_lines import render_lines
from agent.rules.log_records import LogRecords

_BUSY_SECONDS: Final = 0.02
"""What comes so soon behind the last read waits for as long, so that many lines travel together."""
_BLIND_SECONDS: Final = 0.03
"""The pace of looking at a file where the kernel does not tell of it, and while it is being rotated."""


class EngineLogs:
    """Reads the log of one container at a time; closing the iterator closes its files or its connection at once."""

    def __init__(self, session: EngineSession, containers: EngineContainers, *, by_file: bool) -> None:
        self._session = session
        self._containers = containers
        self._by_file = by_file
        self._inotify = Inotify()

    async def read(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        """Lines, oldest first, in batches; those at `since` are included."""
        doing = f"read the log of container {container_id[:12]}"
        inspected = await self._containers.inspect(container_id, doing=doing)
        file = None
        if self._by_file and (place := find_log_file(inspected)) is not None:
            with contextlib.suppress(OSError):
                file = await finish_in_thread(lambda: _open_at(*place, tail=tail, since=since), undo=LogFile.close)
        if file is None:
            lines = self._read_api(inspected, doing=doing, tail=tail, since=since, follow=follow)
        else:
            lines = self._read_file(file, inspected, doing=doing, since=since, follow=follow)
        async with aclosing(lines) as batches:
            async for batch in batches:
                yield batch

    async def _read_file(
        self, file: LogFile, inspected: dict[str, Any], *, doing: str, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        records = LogRecords(since_usec=0 if since is None else _to_usec(since))
        grown, loop = asyncio.Event(), asyncio.get_running_loop()
        end = ContainerEnd(inspected, lambda: self._containers.inspect(inspected["Id"], doing=doing), tell=grown.set)
        with file, end, FileGrowth(self._inotify, grown.set) as growth:
            over = not follow
            while True:
                grown.clear()
                read_at = loop.time()
                while data := await file.read():
                    if lines := records.feed(data):
                        yield lines
                    await asyncio.sleep(0)  # whoever else waits for the loop has a turn between two reads
                if over:
                    break
                if growth.aim(file.descriptor):
                    continue
                seconds = _BLIND_SECONDS if growth.is_blind or file.is_moving else end.look_seconds
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await grown.wait()
                if not end.has_ended and (busy := read_at + _BUSY_SECONDS - loop.time()) > 0:
                    await asyncio.sleep(busy)
                over = await end.is_over()
            if lines := records.finish():
                yield lines

    async def _read_api(
        self, inspected: dict[str, Any], *, doing: str, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        params = {
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "follow": "1" if follow else "0",
            "tail": "all" if tail is None else str(tail),
        }
        if since is not None:
            params["since"] = render_since(to_nanoseconds(since))
        frames = TerminalLines() if inspected["Config"].get("Tty") else LogFrames()
        try:
            async with self._session.open(
                "GET",
                f"/containers/{inspected['Id']}/logs",
                doing=doing,
                params=params,
                head_timeout_seconds=self._session.call_timeout_seconds,
            ) as response:
                async for chunk in response.content.iter_any():
                    if lines := render_lines(frames.feed(chunk)):
                        yield lines
        except EngineRefused as refused:
            if refused.engine_status == 404:
                raise ContainerGone(f"cannot {doing}: {refused.reason}") from refused
            raise
        if lines := render_lines(frames.finish()):
            yield lines


def find_log_file(inspected: dict[str, Any]) -> tuple[Path, int] | None:
    """The container's log file and how many of its kind are kept; None where the log is to be had by the API alone.

    A terminal's log is, since its fragments are told apart there by other rules.
    """
    config = inspected["HostConfig"].get("LogConfig") or {}
    options = config.get("Config") or {}
    path = inspected.get("LogPath")
    if config.get("Type") != "json-file" or not path or inspected["Config"].get("Tty"):
        return None
    if options.get("compress") == "true":
        return None
    return Path(path), int(options.get("max-file") or 1)


def _open_at(path: Path, files: int, *, tail: int | None, since: dt.datetime | None) -> LogFile:
    file = LogFile(path, files=files)
    try:
        if tail is not None:
            file.seek_tail(tail)
        elif since is not None:
            file.seek_since(_to_usec(since))
    except OSError:
        file.close()
        raise
    return file


def _to_usec(moment: dt.datetime) -> int:
    return (moment - EPOCH) // dt.timedelta(microseconds=1)
