"""Programs end with whoever started them, and stay below their limits."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from agent.host.git.programs import Programs
from tests.waiting import eventually

_HOLDER = """
import asyncio, sys
from pathlib import Path
from agent.host.git.programs import Programs
programs = Programs(memory_bytes=1 << 30, file_bytes=1 << 20)
asyncio.run(programs.run(sys.argv[1:], folder=Path("/"), environment={}))
"""


@pytest.fixture
def programs() -> Programs:
    return Programs(memory_bytes=1 << 29, file_bytes=1 << 20)


def _running(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


async def test_output_and_complaints_are_told_apart_and_lines_that_pass_are_marked(
    programs: Programs, tmp_path: Path
) -> None:
    told: list[tuple[bytes, bool]] = []
    done = await programs.run(
        ["sh", "-c", "cat; printf '10%%\\r20%%\\rdone\\nlast' >&2; exit 3"],
        folder=tmp_path,
        environment={},
        given=b"given",
        tell=lambda line, passing: told.append((line, passing)),
    )
    assert (done.code, done.output, done.complaints) == (3, b"given", ("done", "last"))
    assert told == [(b"10%", True), (b"20%", True), (b"done", False), (b"last", False)]


async def test_nothing_of_the_agents_environment_is_handed_on(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "1")
    done = await programs.run(["env"], folder=tmp_path, environment={"MINE": "2"})
    names = {line.partition("=")[0] for line in done.output.decode().splitlines()}
    assert "MINE" in names
    assert not names - {"MINE", "PATH", "LC_ALL", "HOME", "PWD", "SHLVL", "_", "OLDPWD"}


async def test_what_a_program_started_in_a_session_of_its_own_ends_with_it(programs: Programs, tmp_path: Path) -> None:
    mark = f"4321.{os.getpid()}"
    command = ["sh", "-c", f"setsid sleep {mark} >/dev/null 2>&1 & setsid sleep {mark}"]
    running = asyncio.create_task(programs.run(command, folder=tmp_path, environment={}))
    await eventually(lambda: asyncio.to_thread(_running, mark), met=lambda found: len(found) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: asyncio.to_thread(_running, mark), met=lambda found: not found, seconds=5)


async def test_an_agent_that_is_killed_takes_its_programs_along(tmp_path: Path) -> None:
    mark = f"5432.{os.getpid()}"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLDER, "sh", "-c", f"setsid sleep {mark} & sleep {mark}", cwd=Path.cwd()
    )
    found = await eventually(lambda: asyncio.to_thread(_running, mark), met=lambda running: len(running) >= 2)
    assert found
    os.kill(holder.pid, signal.SIGKILL)
    await holder.wait()
    await eventually(lambda: asyncio.to_thread(_running, mark), met=lambda running: not running, seconds=5)


async def test_memory_and_the_size_of_a_file_are_bounded(programs: Programs, tmp_path: Path) -> None:
    hungry = [sys.executable, "-c", "bytearray(1 << 30)"]
    assert (await programs.run(hungry, folder=tmp_path, environment={})).code != 0
    writing = ["dd", "if=/dev/zero", "of=large", "bs=64K", "count=100"]
    assert (await programs.run(writing, folder=tmp_path, environment={})).code != 0
    assert (tmp_path / "large").stat().st_size == 1 << 20


async def test_a_program_may_do_nothing_that_root_may(programs: Programs, tmp_path: Path) -> None:
    done = await programs.run(["chown", "1:1", "."], folder=tmp_path, environment={})
    assert done.code != 0
    assert (await asyncio.to_thread(tmp_path.stat)).st_uid == os.getuid()


async def test_what_a_watch_raises_ends_the_program(programs: Programs, tmp_path: Path) -> None:
    async def watch() -> None:
        raise RuntimeError("too large")

    mark = f"6543.{os.getpid()}"
    with pytest.raises(RuntimeError, match="too large"):
        await programs.run(["sleep", mark], folder=tmp_path, environment={}, watch=watch)
    assert await asyncio.to_thread(_running, mark) == []
