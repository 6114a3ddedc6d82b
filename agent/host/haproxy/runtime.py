"""Speaks to HAProxy's sockets: the worker's runtime socket and the master's, with a deadline on every exchange."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from agent.core.faults import IngressUnavailable
from agent.host.haproxy.commands import SHOW_SESSIONS, parse_old_workers, parse_sessions
from kit.clock import Clock

_PROMPT = "\n> "
_MASTER_PROMPT = re.compile(r"\n\d+> ")
_PAYLOAD_PROMPT = re.compile(r"^(?:\+ )+")
_LARGEST_READ = 1 << 18
_MASTER_AGAIN_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


class RuntimeSocket:
    """Asks the worker; commands of one batch are carried out in order on one connection.

    Where its socket is gone from the disk the worker is reached through that of the master, if it is given.
    """

    def __init__(self, path: Path, *, master: Path | None = None, deadline_seconds: float = 5.0) -> None:
        self._path = path
        self._master = master
        self._deadline_seconds = deadline_seconds

    async def ask(self, lines: Sequence[str]) -> list[str]:
        """The answer to each line, without surrounding white space; IngressUnavailable when not all come in time.

        A line that ends in `<<` before its first newline carries the text behind that, in which no line is empty.
        """
        asked = [_check_line(line) for line in lines]
        if not lines:
            return []
        try:
            text = await exchange(self._path, "\n".join(["prompt", *asked, "quit", ""]), self._deadline_seconds)
            answers = text.split(_PROMPT)
        except IngressUnavailable as fault:
            if self._master is None or not isinstance(fault.__cause__, ConnectionRefusedError | FileNotFoundError):
                raise
            answers = await self._ask_through_master(asked, fault)
        replies = [_PAYLOAD_PROMPT.sub("", reply).strip() for reply in answers[1:-1]]
        if len(replies) != len(lines):
            raise IngressUnavailable(
                f"cannot run {len(lines)} commands on HAProxy: it answered {len(replies)} and closed the connection"
            )
        return replies

    async def _ask_through_master(self, asked: Sequence[str], fault: IngressUnavailable) -> list[str]:
        assert self._master is not None
        try:
            text = await exchange(self._master, "\n".join(["prompt", "@1", *asked, "quit", ""]), self._deadline_seconds)
        except IngressUnavailable:
            raise fault from fault.__cause__
        return _MASTER_PROMPT.split(text.replace("master> ", "\n", 1))


class MasterSocket:
    """Asks the master, which outlives reloads and reaches the workers that still finish their connections."""

    def __init__(self, path: Path, *, clock: Clock, deadline_seconds: float = 5.0) -> None:
        self._path = path
        self._clock = clock
        self._deadline_seconds = deadline_seconds

    async def reload(self) -> None:
        """Ask for a new worker from the files; that it came is seen on the runtime socket."""
        try:
            await self._ask("reload\n")
        except IngressUnavailable as fault:
            # The master begins anew at once and may cut the connection on which it was asked.
            if not isinstance(fault.__cause__, ConnectionResetError):
                raise

    async def old_sessions(self) -> dict[str, int]:
        """Open sessions by server name in workers from before a reload; nothing when there are none."""
        totals: dict[str, int] = {}
        for pid in parse_old_workers(await self._ask("show proc\n")):
            # A worker that ends between the two questions answers nothing, and has no sessions any more.
            text = await self._ask(f"@!{pid} {SHOW_SESSIONS}\n")
            if text.startswith("# pxname"):
                for name, count in parse_sessions(text).items():
                    totals[name] = totals.get(name, 0) + count
        return totals

    async def _ask(self, text: str) -> str:
        """The answer; a master that starts or reloads does not listen for a moment in which its worker already does."""
        for pause_seconds in _MASTER_AGAIN_SECONDS:
            try:
                return await exchange(self._path, text, self._deadline_seconds, half_close=True)
            except IngressUnavailable as fault:
                if not isinstance(fault.__cause__, ConnectionRefusedError | FileNotFoundError):
                    raise
            await self._clock.sleep(pause_seconds)
        return await exchange(self._path, text, self._deadline_seconds, half_close=True)


def _check_line(line: str) -> str:
    """The line as it is sent; ValueError for one that is more than one plain command with its text."""
    command, _, payload = line.partition("\n")
    if not command.isprintable() or ";" in command or command.endswith("<<") != bool(payload):
        raise ValueError(f"cannot send {command!r} to HAProxy: it is not one plain command")
    if not payload:
        return line
    if not payload.endswith("\n") or not payload.replace("\n", "").isprintable() or "\n\n" in payload:
        raise ValueError(f"cannot send {command!r} to HAProxy: its text is not of plain lines")
    return line


async def exchange(path: Path, text: str, deadline_seconds: float, *, half_close: bool = False) -> str:
    """Everything that a socket answers until it closes; IngressUnavailable when it does not within the deadline.

    The master closes when it sees the end of what is asked (`half_close`); a worker would cut a long batch short by it.
    """
    try:
        async with asyncio.timeout(deadline_seconds):
            reader, writer = await asyncio.open_unix_connection(path, limit=_LARGEST_READ)
            try:
                writer.write(text.encode("ascii"))
                if half_close:
                    writer.write_eof()
                return (await reader.read(-1)).decode("utf-8", "replace")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError as error:
        raise IngressUnavailable(
            f"cannot reach HAProxy at {path}: no answer within {deadline_seconds:g} s; see whether its process is stuck"
        ) from error
    except OSError as error:
        raise IngressUnavailable(
            f"cannot reach HAProxy at {path}: {error.strerror or error}; see whether its process runs"
        ) from error
