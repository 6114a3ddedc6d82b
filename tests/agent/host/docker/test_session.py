"""An engine that hangs is waited for no longer than said, and stalls nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from agent.core.faults import EngineRefused, EngineUnavailable
from agent.host.docker.engine import DockerEngine
from agent.host.docker.load import CallLoad
from agent.host.docker.session import EngineSession
from kit.clock import SystemClock
from tests.fakes.engine_socket import EngineSocket
from tests.waiting import eventually


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[EngineSocket]:
    fake = EngineSocket(tmp_path / "engine.sock")
    async with fake.serve():
        yield fake


@pytest.fixture
async def session(socket: EngineSocket) -> AsyncIterator[EngineSession]:
    made = EngineSession(socket.path, call_timeout_seconds=10)
    yield made
    await made.close()


async def ping(request: web.Request) -> web.StreamResponse:
    return web.json_response("OK")


async def test_a_call_that_hangs_ends_at_its_deadline_and_any_number_of_others_goes_on(
    socket: EngineSocket, session: EngineSession
) -> None:
    socket.answers["/_ping"] = ping
    stuck = [
        asyncio.ensure_future(session.call("GET", "/containers/x/json", doing="look", timeout_seconds=3))
        for _ in range(50)
    ]
    assert [await session.call("GET", "/_ping", doing="ping") for _ in range(5)] == ["OK"] * 5
    assert not any(each.done() for each in stuck)
    for each in stuck:
        with pytest.raises(EngineUnavailable, match=r"to look: .*is dockerd running"):
            await each


async def test_the_engines_own_sentence_is_kept(socket: EngineSocket, session: EngineSession) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "no space left on device"}, status=507)

    socket.answers["/_ping"] = refuse
    with pytest.raises(EngineRefused, match=r"^cannot ping: no space left on device$") as caught:
        await session.call("GET", "/_ping", doing="ping")
    assert caught.value.engine_status == 507


async def test_a_hanging_engine_ends_every_call_and_blocks_none(socket: EngineSocket) -> None:
    async def containers(request: web.Request) -> web.StreamResponse:
        return web.json_response([])

    socket.answers["/containers/json"] = containers
    engine = DockerEngine(socket.path, "n1", clock=SystemClock(), call_timeout_seconds=1)
    hanging = [
        asyncio.ensure_future(call)
        for call in (
            engine.find_image("x"),
            engine.remove_container("c"),
            engine.ensure_network("n"),
            engine.remove_image("x"),
        )
    ]
    assert await engine.list_containers() == ()
    ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert [type(end) for end in ended] == [EngineUnavailable] * 4
    await engine.close()


async def test_a_closed_adapter_takes_no_more_calls(socket: EngineSocket) -> None:
    async def info(request: web.Request) -> web.StreamResponse:
        return web.json_response({"CgroupVersion": "2", "CgroupDriver": "systemd", "Driver": "overlayfs"})

    socket.answers["/info"] = info
    engine = DockerEngine(socket.path, "n1", clock=SystemClock())
    await engine.fetch_info()
    await engine.close()
    with pytest.raises(EngineUnavailable):
        await engine.list_containers()
    with pytest.raises(EngineUnavailable):
        await engine.tag_image("a", "b")


async def test_an_engine_upgraded_meanwhile_is_spoken_to_in_its_new_version(socket: EngineSocket) -> None:
    async def containers(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/v1.41") and socket.api_version != "1.41":
            text = "client version 1.41 is too old. Minimum supported API version is 1.44"
            return web.Response(status=400, text=json.dumps({"message": text}))
        return web.json_response([])

    socket.answers["/containers/json"] = containers
    engine = DockerEngine(socket.path, "n1", clock=SystemClock())
    assert await engine.list_containers() == ()
    socket.api_version = "1.52"
    with pytest.raises(EngineRefused, match="too old"):
        await engine.list_containers()
    assert await engine.list_containers() == ()
    assert socket.asked[-1] == "/v1.52/containers/json"
    await engine.close()


@pytest.mark.parametrize(
    ("api_version", "words"), [("1.40", "1.41 .*is the oldest"), ("1.41", "not a container engine's")]
)
async def test_what_is_no_engine_that_we_know_is_told(socket: EngineSocket, api_version: str, words: str) -> None:
    async def nonsense(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>")

    socket.api_version = api_version
    socket.answers["/containers/json"] = nonsense
    engine = DockerEngine(socket.path, "n1", clock=SystemClock())
    with pytest.raises(EngineUnavailable, match=words):
        await engine.list_containers()
    await engine.close()


async def test_calls_are_counted_with_their_time_and_those_that_fail(socket: EngineSocket) -> None:
    async def tell(_: web.Request) -> web.StreamResponse:
        return web.json_response({})

    socket.answers["/info"] = tell
    engine = DockerEngine(socket.path, "n-1", clock=SystemClock(), call_timeout_seconds=3)
    load = engine.load
    try:
        await engine.fetch_info()
        assert (load.under_way, load.failed, len(load.seconds)) == (0, 0, 1)
        waiting = asyncio.ensure_future(engine.list_containers())
        await eventually(lambda: _count(load), met=lambda count: count == 1)
        with pytest.raises(EngineUnavailable):
            await waiting
        assert (load.under_way, load.failed, len(load.seconds)) == (0, 1, 2)
    finally:
        await engine.close()


async def _count(load: CallLoad) -> int:
    return load.under_way
