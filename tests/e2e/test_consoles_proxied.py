"""Consoles behind a proxy that cuts what is silent: pings keep them open, and upgrades and origins pass."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.consoles import Seat, ask_ticket
from tests.controld.app import App
from tests.controld.console_world import World, open_world
from tests.e2e.platform import is_listening
from tests.haproxy import free_port
from tests.waiting import eventually

_CUT_SECONDS = 2
_CONFIG = """
global
    maxconn 100
defaults
    mode http
    timeout connect 2s
    timeout client 2s
    timeout server 2s
    timeout tunnel {cut}s
listen front
    bind 127.0.0.1:{port}
    server controld {upstream}
"""


@pytest.fixture
async def world(pinging_app: App, tmp_path: Path) -> AsyncIterator[World]:
    """A service whose consoles are reached through a HAProxy that cuts a tunnel after two silent seconds."""
    async with open_world(pinging_app) as made:
        port, config = free_port(), tmp_path / "haproxy.cfg"
        upstream = made.place.url.removeprefix("http://")
        config.write_text(_CONFIG.format(cut=_CUT_SECONDS, port=port, upstream=upstream))
        proxy = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", str(config))
        try:
            await eventually(lambda: is_listening(port))
            yield dataclasses.replace(made, place=dataclasses.replace(made.place, url=f"http://127.0.0.1:{port}"))
        finally:
            proxy.terminate()
            await proxy.wait()


async def test_a_silent_console_outlives_the_proxys_patience(world: World) -> None:
    _, issued = await ask_ticket(world.http, world.place)
    url = world.place.url
    async with world.http.ws_connect(url + issued["ws_path"], origin=url) as websocket:
        seat = Seat(websocket)
        await seat.until_ready()
        waiting = asyncio.ensure_future(seat.take())  # pongs are sent while somebody reads
        await asyncio.wait([waiting], timeout=3 * _CUT_SECONDS)
        assert not waiting.done()
        world.app.agents.shells[seat.session_id].show(b"still here")
        assert await waiting
        await seat.until(b"still here")
        await seat.say(type="close")
        assert (await seat.until_over())[-1] == {"type": "exit", "code": 129}
        assert websocket.close_code == 1000
