"""Consoles through the whole platform: real shells, from a client through controld and the agent."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.agent.console_world import await_marked, gone, read_marked
from tests.consoles import Place, Seat, ask_ticket, seated, settle
from tests.e2e.platform import Platform, make_place
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def place(platform: Platform) -> Place:
    """A service with one replica."""
    return asyncio.run(make_place(platform, "shelled"))


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_shell_is_typed_into_resized_and_ends_with_its_code(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place, cols=90, rows=20) as seat:
        assert seat.frames[0] == {
            "type": "ready",
            "session_id": seat.session_id,
            "replica_index": 0,
            "cols": 90,
            "rows": 20,
            "position": 0,
        }
        await settle(seat)
        await seat.type("busybox stty size\n")
        await seat.until(rb"20 90\r\n")
        await seat.say(type="resize", cols=5000, rows=5000)
        await seat.type("busybox sleep 0.2; busybox stty size\n")
        await seat.until(rb"120 300\r\n")
        await seat.websocket.send_str("what is this?")
        await seat.type("exit 9\n")
        frames = await seat.until_over()
    assert [frame["type"] for frame in frames] == ["ready", "exit"]
    assert frames[-1] == {"type": "exit", "code": 9}
    assert seat.websocket.close_code == 1000


@pytest.mark.parametrize("way", ["frame", "close"])
async def test_a_client_that_closes_ends_everything_it_started_at_once(
    http: aiohttp.ClientSession, place: Place, way: str
) -> None:
    async with seated(http, place) as seat:
        await settle(seat)
        await seat.type("busybox setsid busybox sleep 1000 & busybox yes\n")
        await seat.until(rb"y\r\ny\r\n")
        started = await await_marked(seat.session_id, count=3)
        assert len(started) >= 3
        if way == "frame":
            await seat.say(type="close")
            frames = await seat.until_over()
            assert frames[-1] == {"type": "exit", "code": 129}
            assert seat.websocket.close_code == 1000
        else:
            await seat.websocket.close()
    assert await gone(started, seconds=2)


async def test_ten_seconds_of_yes_without_a_reader_are_held_back_at_bounded_memory(
    http: aiohttp.ClientSession, place: Place, platform: Platform
) -> None:
    async with seated(http, place) as seat:
        await settle(seat)
        pids = [platform.pid(program) for program in ("controld", "agent")]
        before = [_resident_bytes(pid) for pid in pids]
        await seat.type("busybox yes 0123456789012345678901234567890123456789 | busybox cat\n")

        def written() -> list[int]:
            return [_written_bytes(pid) for pid in read_marked(seat.session_id)]

        async with asyncio.timeout(60):  # what no one reads fills every buffer on the way
            await seat.until(rb"0123456789")
            held = written()
            while True:
                await asyncio.sleep(3)
                if held == (held := written()):
                    break
        await asyncio.sleep(7)
        assert written() == held
        grown = [_resident_bytes(pid) - was for pid, was in zip(pids, before, strict=True)]
        assert max(grown) < 16 * 1024 * 1024, grown

        async with asyncio.timeout(30):
            while seat.received < 16 * 1024 * 1024:
                await seat.take()
        assert seat.largest <= 8192
        await seat.say(type="close")
        seat.shown.clear()
        assert (await seat.until_over())[-1]["type"] == "exit"


async def test_a_paste_of_a_megabyte_arrives_whole(http: aiohttp.ClientSession, place: Place) -> None:
    pasted = os.urandom(512 * 1024).hex()
    wanted = hashlib.md5(pasted.encode(), usedforsecurity=False).hexdigest()
    async with seated(http, place) as seat:
        await settle(seat)
        await seat.type("busybox stty raw; echo g''o; busybox head -c 1048576 | busybox md5sum\n")
        await seat.until(rb"go")
        await seat.type(pasted)
        await seat.until(wanted.encode())


async def test_who_vanishes_comes_back_to_the_same_shell_without_loss(
    http: aiohttp.ClientSession, place: Place
) -> None:
    async with seated(http, place) as first:
        await settle(first)
        await first.type("kept=yes; busybox sleep 1; echo whi''le-away\n")
        await asyncio.sleep(0.2)
        received = first.frames[0]["position"] + first.received
        await first.drop()
    await asyncio.sleep(1.5)
    async with seated(http, place, session_id=first.session_id, received=received) as second:
        assert second.session_id == first.session_id
        assert second.frames[0]["position"] == received
        await second.until(rb"^while-away\r\n")
        await second.type("echo kept-$kept\n")
        await second.until(rb"kept-yes\r\n")

        async with seated(http, place, session_id=first.session_id) as third:
            await third.until(rb"while-away\r\nkept-yes\r\n")
            frames = await second.until_over()
            assert "another connection" in frames[-1]["message"]
            await third.type("exit\n")
            assert (await third.until_over())[-1] == {"type": "exit", "code": 0}


async def test_a_shell_survives_controld_and_is_come_back_to(
    http: aiohttp.ClientSession, place: Place, platform: Platform
) -> None:
    async with seated(http, place) as first:
        await settle(first)
        await first.type("kept=through\n")
        killed = await platform.kill("controld")
        await first.until_over()
    await platform.await_back("controld", killed)
    await eventually(lambda: _can_come_back(http, place, first), seconds=30)
    async with seated(http, place, session_id=first.session_id) as second:
        await second.type("echo kept-$kept\n")
        await second.until(rb"kept-through\r\n")
        await second.type("exit\n")
        await second.until_over()


async def test_a_killed_agents_next_start_ends_what_its_consoles_left(
    http: aiohttp.ClientSession, place: Place, platform: Platform
) -> None:
    async with seated(http, place) as seat:
        await settle(seat)
        await seat.type("busybox setsid busybox sleep 1000 & busybox sleep 1000\n")
        left = await await_marked(seat.session_id, count=3)
        assert len(left) >= 3
        killed = await platform.kill("agent")
        frames = await seat.until_over()
        assert "the node was lost" in frames[-1]["message"]
    await platform.await_back("agent", killed)
    assert await gone(left, seconds=20)


async def test_a_console_starts_and_ends_in_the_audit(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place) as seat:
        await seat.type("exit 3\n")
        await seat.until_over()
    headers = {"Authorization": f"Bearer {place.token}"}
    async with http.get(f"{place.url}/v1/audit?limit=50", headers=headers) as answer:
        records = [each for each in await answer.json() if each["object_id"] == seat.session_id]
    end, start = records
    assert (start["action"], end["action"]) == ("console.start", "console.end")
    assert start["address"] == end["address"] == "127.0.0.1"
    assert start["actor"] == end["actor"]
    assert start["details"]["service_id"] == place.service_id
    assert (end["details"]["how"], end["details"]["exit_code"]) == ("exited", 3)
    assert 0 < end["details"]["seconds"] < 60


async def _can_come_back(http: aiohttp.ClientSession, place: Place, seat: Seat) -> bool:
    try:
        status, _ = await ask_ticket(http, place, session_id=seat.session_id)
    except aiohttp.ClientError:
        return False
    return status == 200


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no process {pid}")


def _written_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    raise AssertionError(f"no process {pid}")
