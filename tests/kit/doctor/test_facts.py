"""Facts are read from the machine as it is: who listens, what is free, what a process may open."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from kit.doctor.facts import find_daemon, find_processes, read_descriptor_limit, read_holders, read_room


async def test_the_process_that_listens_on_each_port_is_named(free_port: int) -> None:
    def look() -> None:
        assert read_holders({free_port}) == {free_port: []}
        with socket.create_server(("127.0.0.1", free_port)), socket.create_server(("127.0.0.1", 0)) as other:
            found = read_holders({free_port, other.getsockname()[1]})
            (holder,) = found[free_port]
            assert found[other.getsockname()[1]] == [holder]
            assert holder.pid == os.getpid()
            assert holder.command
            assert "python" in holder.command

    await asyncio.to_thread(look)


def test_the_room_of_a_path_that_is_not_there_yet_is_its_nearest_folders(tmp_path: Path) -> None:
    room = read_room(tmp_path / "later/still")
    assert room.path == str(tmp_path)
    assert 0 < room.free_bytes <= room.total_bytes


def test_limits_of_processes_are_the_kernels() -> None:
    assert read_descriptor_limit() == read_descriptor_limit(os.getpid()) > 0
    with pytest.raises(OSError, match="No such file"):
        read_descriptor_limit(2**22 + 1)


def test_processes_are_found_by_the_words_of_their_command(tmp_path: Path) -> None:
    _fill(tmp_path, {"7": ["/usr/bin/moorage-agent", "run"], "8": ["sh"], "x": []})
    assert find_processes(("moorage-agent", "run"), proc_dir=tmp_path) == [7]


@pytest.mark.parametrize("daemon", [["/opt/bin/moorage-controld"], ["python3", "-m", "controld", "run"]])
def test_a_daemon_is_found_however_it_was_started_and_its_doctor_is_not_it(tmp_path: Path, daemon: list[str]) -> None:
    _fill(tmp_path, {"5": ["/opt/bin/moorage-controld", "doctor"], "6": ["python3", "-m", "controld", "doctor"]})
    find = functools.partial(
        find_daemon, "moorage-controld", package="controld", other_words=("doctor",), proc_dir=tmp_path
    )
    assert find() is None
    _fill(tmp_path, {"7": daemon})
    assert find() == 7


def _fill(proc_dir: Path, commands: Mapping[str, list[str]]) -> None:
    for pid, words in commands.items():
        (proc_dir / pid).mkdir()
        (proc_dir / pid / "cmdline").write_bytes("\0".join([*words, ""]).encode())
