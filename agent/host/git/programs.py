"""Runs git and its helpers so that nothing of them outlives the agent, grows past its limits or finds a secret."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.core.faults import CloneFailed, GitMissing
from kit.tasks import Tasks

_LOOK_SECONDS: Final = 0.5
_END_SECONDS: Final = 10.0
_MOST_OUTPUT_BYTES: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024
_MOST_LINE_BYTES: Final = 8 * 1024
_KEPT_LINES: Final = 60
_LEAST_MEMORY_BYTES: Final = 512 * 1024 * 1024
_BREAK: Final = re.compile(rb"[\r\n]")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, what it printed, and the last lines of what it complained of."""

    code: int
    output: bytes
    complaints: tuple[str, ...]


class Programs:
    """Starts programs each in a process namespace of its own, without capabilities and at low priority.

    The kernel ends the whole namespace with its first process, and that one with the agent: whatever a program has
    started is gone when it is, however the agent ends. `memory_bytes` bounds each process, `file_bytes` each file.
    """

    def __init__(self, *, memory_bytes: int, file_bytes: int) -> None:
        self._prefix = (
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--pid", "--fork", "--kill-child=SIGKILL"),
            *("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
            *("prlimit", f"--as={max(memory_bytes, _LEAST_MEMORY_BYTES)}", f"--fsize={file_bytes}", "--core=0"),
            *("nice", "-n", "10"),
        )

    async def run(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        given: bytes = b"",
        tell: Callable[[bytes, bool], None] | None = None,
        watch: Callable[[], Awaitable[None]] | None = None,
    ) -> Finished:
        """Run it to its end, with `given` as its input.

        `tell` gets each line that it complains with, and whether it is a state of progress that the next one replaces.
        `watch` is asked twice a second at the most; what it raises ends the program, as a cancelled call does.
        """
        async with self.open(arguments, folder=folder, environment=environment, feeds=bool(given)) as process:
            tasks = Tasks("git program")
            complaints: list[str] = []
            try:
                output = tasks.start("output", _read_output(process))
                errors = tasks.start("errors", _read_errors(process, complaints, tell))
                if given:
                    await _feed(process, given)
                while (await asyncio.wait([output, errors], timeout=_LOOK_SECONDS))[1]:
                    if watch is not None:
                        await watch()
                return Finished(await process.wait(), output.result(), tuple(complaints[-_KEPT_LINES:]))
            finally:
                if process.returncode is None:
                    process.kill()
                await tasks.close()

    @contextlib.asynccontextmanager
    async def open(
        self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], feeds: bool = False
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """The program while it runs; it is ended with everything it started when the block is left."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._prefix,
                *arguments,
                cwd=folder,
                env={"PATH": _PATH, "LC_ALL": "C", "HOME": os.devnull, **environment},
                stdin=asyncio.subprocess.PIPE if feeds else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise GitMissing("cannot clone: this node has no setpriv of util-linux") from error
        except OSError as error:
            raise CloneFailed(f"cannot clone: git could not be started: {error.strerror}") from error
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await _await_end(process)


async def _await_end(process: asyncio.subprocess.Process) -> None:
    """Return when the process and all that hold its outputs are gone."""

    async def drain(stream: asyncio.StreamReader | None) -> None:
        while stream is not None and await stream.read(_PIECE_BYTES):
            pass

    tasks = Tasks("git program end")

    async def end() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await drain(process.stdout)
                await drain(process.stderr)
                await process.wait()

    await tasks.finish("end", end())


async def _feed(process: asyncio.subprocess.Process, given: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(given)
        await process.stdin.drain()
    process.stdin.close()


async def _read_output(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    output = bytearray()
    while piece := await process.stdout.read(_PIECE_BYTES):
        output += piece
        if len(output) > _MOST_OUTPUT_BYTES:
            process.kill()
            return b""
    return bytes(output)


async def _read_errors(
    process: asyncio.subprocess.Process, complaints: list[str], tell: Callable[[bytes, bool], None] | None
) -> None:
    assert process.stderr is not None
    rest = b""
    while piece := await process.stderr.read(_PIECE_BYTES):
        rest += piece
        while (found := _BREAK.search(rest)) is not None:
            line, passing, rest = rest[: found.start()], found[0] == b"\r", rest[found.end() :]
            _take(line, complaints, tell, passing=passing and not rest.startswith(b"\n"))
        if len(rest) > _MOST_LINE_BYTES:
            _take(rest, complaints, tell, passing=False)
            rest = b""
    _take(rest, complaints, tell, passing=False)


def _take(line: bytes, complaints: list[str], tell: Callable[[bytes, bool], None] | None, *, passing: bool) -> None:
    line = line.strip()[:_MOST_LINE_BYTES]
    if not line:
        return
    if not passing:
        complaints.append(line.decode(errors="replace"))
        del complaints[: -2 * _KEPT_LINES]
    if tell is not None:
        tell(line, passing)
