"""Containers that say as much as they can harm nobody: not their node, not its daemons, not who watches them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from client.api import Api
from kit.http.sse_parse import EventParser
from tests.consoles import Place
from tests.e2e.platform import Platform, docker, make_place
from tests.ugly_viewers import read_gauges

pytestmark = pytest.mark.timeout(300)

_FLOOD_SECONDS: Final = 8
_LINE: Final = "0123456789" * 10
_HEARTBEATS: Final = 3
_MOST_LAG_SECONDS: Final = 10.0
"""A node that is not heard for so long is soon lost; what else a machine does may take seconds of it."""
_MOST_GROWTH_BYTES: Final = 64 * 1024 * 1024
_LONG_LINE_BYTES: Final = 10_000_000


@pytest.fixture(scope="module")
def place(platform: Platform) -> Place:
    """A service with one quiet replica."""
    return asyncio.run(make_place(platform, "loud"))


async def test_a_line_of_ten_megabytes_is_told_whole_in_pieces(platform: Platform, place: Place) -> None:
    line = f"busybox head -c {_LONG_LINE_BYTES} /dev/zero | busybox tr '\\0' x"
    await _say(platform, place, f"echo begun; {line}; echo; echo ended")
    parser, pieces = EventParser(), list[str]()
    async with _watching(place, "since=1h") as stream, asyncio.timeout(60):
        while "ended" not in pieces:
            pieces += [event.data for event in parser.feed(await stream.content.readany())]

    told = pieces[pieces.index("begun") + 1 : pieces.index("ended")]
    assert max(map(len, told)) == 16 * 1024
    assert "".join(told) == "x" * _LONG_LINE_BYTES


async def test_a_flood_of_lines_stops_no_heartbeat_and_fills_no_memory(
    platform: Platform, api: Api, place: Place
) -> None:
    before = {program: _read_rss(platform.pid(program)) for program in ("agent", "controld")}
    async with _watching(place, "tail=0") as prompt, _watching(place, "tail=0") as stalled:
        script = f"busybox timeout {_FLOOD_SECONDS} busybox yes {_LINE}; true"
        flood = asyncio.ensure_future(_say(platform, place, script))
        heard, states = set(), set()
        async with asyncio.timeout(120):
            reading = asyncio.ensure_future(_read_until(prompt, b"data: over\n"))
            while not reading.done():
                (node,) = await api.list_nodes()
                heard.add(node.heard_at)
                states.add(node.state)
                await asyncio.sleep(0.2)
                if flood.done():  # whoever read too slowly may have missed it once
                    await _say(platform, place, "echo over")
            await flood
        grown = {program: _read_rss(platform.pid(program)) - was for program, was in before.items()}
        lag = await read_gauges(platform, "loop_lag_worst_seconds")
        async with asyncio.timeout(60):
            await _read_until(stalled, b"\nevent: dropped\ndata: ")

    assert states == {"ready"}
    assert len(heard) >= _HEARTBEATS
    assert max(grown.values()) < _MOST_GROWTH_BYTES, grown
    assert max(lag) < _MOST_LAG_SECONDS, lag


@contextlib.asynccontextmanager
async def _watching(place: Place, query: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A viewer's stream, which holds its own buffers full as long as it is not read."""
    headers = {"Authorization": f"Bearer {place.token}"}
    async with aiohttp.ClientSession(place.url, headers=headers) as http:
        async with http.get(f"/v1/services/{place.service_id}/logs/stream?{query}") as answer:
            assert answer.status == 200
            yield answer


async def _read_until(stream: aiohttp.ClientResponse, wanted: bytes) -> None:
    rest = b""
    while wanted not in rest:
        rest = rest[-len(wanted) :] + await stream.content.readany()
        assert not stream.content.at_eof()


async def _say(platform: Platform, place: Place, script: str) -> None:
    """Let the replica write what the script does."""
    (container,) = await platform.containers(service_id=place.service_id)
    await asyncio.to_thread(docker, "exec", container, "/bin/sh", "-c", f"{{ {script}; }} > /proc/1/fd/1")


def _read_rss(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024
