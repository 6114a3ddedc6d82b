"""The sockets' client: deadlines, and lines that carry one command only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.core.faults import IngressUnavailable
from agent.host.haproxy.runtime import MasterSocket, RuntimeSocket
from kit.clock import SystemClock
from tests.haproxy import RunningHaproxy


async def test_each_line_gets_its_own_answer_in_order(haproxy: RunningHaproxy) -> None:
    lines = ["show backend", "set server none/none state ready", "show version", "get weight none/none"]
    replies = await RuntimeSocket(haproxy.paths.admin_socket).ask(lines)
    assert "p0000" in replies[0]
    assert replies[1] == replies[3] == "No such backend."
    assert replies[2].startswith("2.") or replies[2].startswith("3.")


async def test_a_batch_larger_than_haproxys_buffers_is_carried_out(haproxy: RunningHaproxy) -> None:
    hosts = haproxy.paths.hosts
    lines = [f"add map {hosts} h{number}.test p0000" for number in range(3000)]
    replies = await RuntimeSocket(haproxy.paths.admin_socket).ask([*lines, f"show map {hosts}"])
    assert set(replies[:-1]) == {""}
    assert len(replies[-1].splitlines()) == 3000


@pytest.mark.parametrize("line", ["show info\nquit", "show info;quit", "show info\r", "show\x00info"])
async def test_a_line_that_is_not_one_command_is_never_sent(haproxy: RunningHaproxy, line: str) -> None:
    with pytest.raises(ValueError, match="not one plain command"):
        await RuntimeSocket(haproxy.paths.admin_socket).ask([line])


async def test_nobody_listening_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(IngressUnavailable, match="whether its process runs"):
        await RuntimeSocket(tmp_path / "none.sock").ask(["show info"])


async def test_a_socket_that_never_answers_is_a_fault_at_the_deadline(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    server = await asyncio.start_unix_server(say_nothing, tmp_path / "mute.sock")
    with pytest.raises(IngressUnavailable, match="no answer within"):
        await RuntimeSocket(tmp_path / "mute.sock", deadline_seconds=0.1).ask(["show info"])
    released.set()
    server.close()
    await server.wait_closed()


async def test_a_connection_cut_before_all_answers_is_a_fault(tmp_path: Path) -> None:
    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"quit\n")
        writer.write(b"\n> one\n> ")
        writer.close()

    server = await asyncio.start_unix_server(answer_one, tmp_path / "cut.sock")
    with pytest.raises(IngressUnavailable, match="answered"):
        await RuntimeSocket(tmp_path / "cut.sock").ask(["show info", "show backend"])
    server.close()
    await server.wait_closed()


async def test_without_a_reload_there_are_no_old_sessions(haproxy: RunningHaproxy) -> None:
    assert await MasterSocket(haproxy.paths.master_socket, clock=SystemClock()).old_sessions() == {}
