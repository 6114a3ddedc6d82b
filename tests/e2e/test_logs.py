"""A real container's log is asked for, cut off at random places and resumed, searched, and kept in a file."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import zstandard

from client.__main__ import EXIT_INTERRUPTED
from client.api import Api
from client.messages import Service
from kit.http.sse_parse import Event, EventParser
from tests.e2e.platform import ROOT, Platform, deploy_site, docker, pack_site, put_service
from tests.e2e.second_node import second_node
from tests.e2e.test_command import moorage
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_BURSTS, _BURST = 40, 1000
_LINES = [str(number) for number in range(_BURSTS * _BURST)]
_ERRORS = [f"e{number}" for number in range(_BURSTS * _BURST // 10)]
_COUNT = (
    '["/bin/sh", "-c", "/bin/busybox httpd -p 8080 -h /www; n=0; '
    f"while [ $n -lt {_BURSTS} ]; do "
    f"/bin/busybox seq $((n*{_BURST})) $((n*{_BURST}+{_BURST}-1)); "
    f"/bin/busybox seq $((n*{_BURST // 10})) $((n*{_BURST // 10}+{_BURST // 10}-1)) | /bin/busybox sed s/^/e/ >&2; "
    'n=$((n+1)); /bin/busybox sleep 0.2; done; while true; do /bin/busybox sleep 60; done"]'
)
_TICK = (
    '["/bin/sh", "-c", "/bin/busybox httpd -p 8080 -h /www; n=0; '
    'while true; do echo $n; n=$((n+1)); /bin/busybox sleep 0.05; done"]'
)


@pytest.fixture
async def session(platform: Platform) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {platform.token}"}
    async with aiohttp.ClientSession(platform.api_url, headers=headers, read_bufsize=1 << 20) as session:
        yield session


async def _follow_cut(
    session: aiohttp.ClientSession, path: str, *, count: int, choose: random.Random
) -> tuple[list[Event], int]:
    """So many events of a stream whose connection is reset at random places, and how often it was."""
    events: list[Event] = []
    cuts = -1
    async with asyncio.timeout(120):
        while len(events) < count:
            cuts += 1
            headers = {"Last-Event-ID": events[-1].id} if events else {}
            left = choose.choice([choose.randrange(2000), choose.randrange(400_000)])
            parser = EventParser()
            async with session.get(path, headers=headers) as answer:
                assert answer.status == 200
                while left > 0 and len(events) < count:
                    chunk = (await answer.content.readany())[:left]
                    left -= len(chunk)
                    events += parser.feed(chunk)
                assert answer.connection is not None
                assert answer.connection.transport is not None
                answer.connection.transport.abort()
    return events, cuts


async def test_a_log_that_is_cut_off_anywhere_is_whole_and_can_be_searched(
    platform: Platform, api: Api, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    choose = random.Random(4)
    service = await put_service(api, "seq")
    ended = await deploy_site(api, service, await pack_site("seq", command=_COUNT))
    assert ended.status == "Healthy", ended.reason
    path = f"/v1/services/{service.id}/logs"

    total = len(_LINES) + len(_ERRORS)
    events, cuts = await _follow_cut(session, f"{path}/stream?since=1h", count=total, choose=choose)
    assert cuts > 5
    assert [event.data for event in events if not event.data.startswith("e")] == _LINES
    assert [event.data for event in events if event.data.startswith("e")] == _ERRORS
    (container,) = await platform.containers(service_id=service.id)
    assert (await asyncio.to_thread(docker, "logs", container)).splitlines() == _LINES

    wanted = [line for line in _LINES if "77" in line]
    found, cuts = await _follow_cut(
        session, f"{path}/stream?since=1h&grep_regex=^[0-9]*77", count=len(wanted), choose=choose
    )
    assert cuts > 0
    assert [event.data for event in found] == wanted

    await _ask_for_lines(session, path)
    await _use_command(platform, service, tmp_path)


async def _ask_for_lines(session: aiohttp.ClientSession, path: str) -> None:
    async def fetch(query: str) -> list[str]:
        async with session.get(f"{path}?{query}") as answer:
            assert answer.status == 200, await answer.text()
            return [str(line) for line in await answer.json()]

    assert await fetch("grep=e12&tail=3") == ["e1297", "e1298", "e1299"]
    assert await fetch("grep=E12&ignore_case=true&tail=1") == ["e1299"]
    assert await fetch("replica=0&grep_regex=^7$") == ["7"]
    assert await fetch("replica=1") == []
    async with session.get(f"{path}?grep_regex=^(e5|39999)$&format=json") as answer:
        first, second = await answer.json()
    assert [first["stream"], second["stream"]] == ["stderr", "stdout"]
    assert (first["replica_index"], first["replica_id"]) == (0, second["replica_id"])
    moments = f"since={first['recorded_at']}&until={second['recorded_at']}"
    between = await fetch(f"{moments}&grep=e&tail=10000")
    assert "e5" in between
    assert int(between[0].removeprefix("e")) <= 5
    assert "39999" not in await fetch(f"{moments}&grep=3999&tail=10000")


async def _use_command(platform: Platform, service: Service, folder: Path) -> None:
    config = folder / "login.json"
    await moorage(config, "login", platform.api_url, "--with-token", given=f"{platform.token}\n")
    printed = await moorage(config, "logs", service.name, "--grep", "E39", "-i", "--tail", "2", "--timestamps")
    assert [line.partition("Z ")[2] for line in printed.stdout.splitlines()] == ["e3998", "e3999"], printed.stderr
    file = folder / "seq.ndjson.zst"
    exported = await moorage(config, "logs", service.name, "--export", str(file))
    assert exported.returncode == 0, exported.stderr
    packed = await asyncio.to_thread(file.read_bytes)
    told = [
        msgspec.json.decode(line)
        for line in zstandard.ZstdDecompressor().decompressobj().decompress(packed).splitlines()
    ]
    assert [line["text"] for line in told if line["stream"] == "stdout"] == _LINES
    assert [line["text"] for line in told if line["stream"] == "stderr"] == _ERRORS


async def test_replicas_of_two_nodes_are_one_log_and_a_node_that_is_away_is_told_of(
    platform: Platform, api: Api, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with second_node(platform, tmp_path) as second:
        service = await put_service(api, "ticks", replicas=2)
        ended = await deploy_site(api, service, await pack_site("ticks", command=_TICK))
        assert ended.status == "Healthy", ended.reason
        path = f"/v1/services/{service.id}/logs"

        async def fetch(rest: str) -> tuple[int, list[Any], str]:
            async with session.get(f"{path}{rest}") as answer:
                lines = (await answer.text()).splitlines() if "/export" in rest else await answer.json()
                return answer.status, lines, answer.headers.get("X-Unreachable-Nodes", "")

        async def is_told_by_both() -> bool:
            return {line["node_id"] for line in (await fetch("?format=json"))[1]} == {platform.node_id, second.id}

        await eventually(is_told_by_both, seconds=60)
        _, lines, unreachable = await fetch("?format=json&tail=60")
        stamps = [line["recorded_at"] for line in lines]
        assert (stamps, unreachable) == (sorted(stamps), "")
        assert {(line["replica_index"], line["stream"]) for line in lines} == {(0, "stdout"), (1, "stdout")}
        assert len({line["replica_id"] for line in lines}) == 2
        _, alone, _ = await fetch(f"?format=json&tail=10&replica={lines[-1]['replica_id']}")
        assert {line["node_id"] for line in alone} == {lines[-1]["node_id"]}

        seen: list[dict[str, str]] = []
        words: list[str] = []

        async def follow() -> None:
            query = [("since", "1h"), ("format", "json")]
            async for event in api.follow_logs(service.id, query=query):
                if event.event == "message":
                    seen.append(msgspec.json.decode(event.data))
                else:
                    words.append(event.data)

        def told_by(node_id: str) -> list[int]:
            return [int(line["text"]) for line in seen if line["node_id"] == node_id]

        following = asyncio.create_task(follow())
        await second.kill("agent")

        async def is_named() -> bool:
            return (await fetch("?tail=1"))[2] == "second"

        await eventually(is_named, seconds=30)
        assert (await fetch("/export"))[0] == 503
        status, exported, unreachable = await fetch("/export?partial=true")
        assert (status, unreachable) == (200, "second")
        assert len(exported) > 10

        async def is_said() -> bool:
            return any("second" in word for word in words)

        await eventually(is_said, seconds=30)
        before = len(told_by(second.id))
        await asyncio.to_thread(second.launch, "agent")

        async def goes_on() -> bool:
            return len(told_by(second.id)) > before + 40

        await eventually(goes_on, seconds=60)
        following.cancel()
        await asyncio.wait([following])
        for node_id in (platform.node_id, second.id):
            assert told_by(node_id) == list(range(len(told_by(node_id))))
        assert "answers again" in words[-1]


async def test_the_command_follows_on_when_controld_is_killed(platform: Platform, api: Api, tmp_path: Path) -> None:
    service = await put_service(api, "followed")
    ended = await deploy_site(api, service, await pack_site("followed", command=_TICK))
    assert ended.status == "Healthy", ended.reason
    config = tmp_path / "login.json"
    await moorage(config, "login", platform.api_url, "--with-token", given=f"{platform.token}\n")
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client", "--config", str(config), "logs", service.name, "--follow", "--since", "1h"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    try:
        async with asyncio.timeout(90):
            printed = [int(await command.stdout.readline()) for _ in range(40)]
            killed = await platform.kill("controld")
            await platform.await_back("controld", killed)
            printed += [int(await command.stdout.readline()) for _ in range(len(printed) + 100)]
            assert printed == list(range(len(printed)))
            assert (await command.stderr.readline()).endswith(b"trying again\n")
    finally:
        command.send_signal(signal.SIGINT)
        await command.wait()
    assert command.returncode == EXIT_INTERRUPTED
