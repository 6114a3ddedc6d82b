"""Exports of a service's log: whole, in order, and broken off where they cannot be."""

from __future__ import annotations

import msgspec
import pytest
import zstandard
from aiohttp import ClientError

from controld.api.v1.logs import UNREACHABLE_HEADER
from controld.model.role import Role
from tests.controld.api.v1.test_logs import ADMIN, ground
from tests.controld.api.v1.test_logs_narrowed import REPLICAS, asked, moment, write
from tests.controld.app import App, ask, bearer
from tests.controld.deploying import Ground

__all__ = ["ground"]

PLAIN = {**ADMIN, "Accept-Encoding": "identity"}


async def test_an_export_is_every_line_of_the_range_oldest_first(app: App, ground: Ground) -> None:
    lines = write(ground, 3000)
    async with app.serve() as http:
        async with http.get(asked(ground, "/export"), headers=PLAIN) as answer:
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert (await answer.text()).splitlines() == lines
        query = {"since": moment(10), "until": moment(2000), "grep": "ERROR", "replica": 1}
        async with http.get(asked(ground, "/export", **query), headers=PLAIN) as answer:
            assert (await answer.text()).splitlines() == lines[15:2000:6]
        async with http.get(asked(ground, "/export", timestamps="true", until=moment(1)), headers=PLAIN) as answer:
            assert await answer.text() == "2026-01-01T00:00:00.000000Z ERROR 0\n"
        async with http.get(asked(ground, "/export", grep="nowhere"), headers=PLAIN) as answer:
            assert (answer.status, await answer.text()) == (200, "")


async def test_an_export_for_programs_tells_all_that_is_known_of_a_line(app: App, ground: Ground) -> None:
    write(ground, 2)
    headers = {**ADMIN, "Accept-Encoding": "zstd"}
    async with app.serve() as http, http.get(asked(ground, "/export", format="ndjson"), headers=headers) as answer:
        assert answer.content_type == "application/x-ndjson"
        assert answer.headers["Content-Encoding"] == "zstd"
        told = zstandard.ZstdDecompressor().decompressobj().decompress(await answer.read())
    assert msgspec.json.decode(told.splitlines()[1]) == {
        "recorded_at": "2026-01-01T00:00:01Z",
        "node_id": ground.nodes[1],
        "replica_id": REPLICAS[1],
        "replica_index": 1,
        "stream": "stdout",
        "text": "info 1",
        "partial": False,
    }


async def test_a_node_that_is_away_fails_an_export_unless_a_part_is_asked_for(app: App, ground: Ground) -> None:
    lines = write(ground, 4)
    app.agents.offline.add(ground.nodes[1])
    async with app.serve() as http:
        status, body = await ask(http, "GET", asked(ground, "/export"), headers=PLAIN)
        assert (status, body["code"]) == (503, "node_offline")
        async with http.get(asked(ground, "/export", partial="true"), headers=PLAIN) as answer:
            assert answer.headers[UNREACHABLE_HEADER] == "node-2"
            assert (await answer.text()).splitlines() == lines[::2]
        app.agents.offline.add(ground.nodes[0])
        status, body = await ask(http, "GET", asked(ground, "/export", partial="true"), headers=PLAIN)
        assert status == 503


@pytest.mark.parametrize("partial", ["true", "false"])
@pytest.mark.parametrize("left", [1, 2000])
async def test_a_node_that_breaks_off_breaks_the_export(app: App, ground: Ground, partial: str, left: int) -> None:
    write(ground, 6000)
    app.agents.logs[ground.nodes[0]].break_at(3000 - left)
    async with app.serve() as http:
        with pytest.raises(ClientError):
            async with http.get(asked(ground, "/export", partial=partial), headers=PLAIN) as answer:
                await answer.read()
        assert app.logs.streams == 0


async def test_exports_are_for_operators_and_counted_among_the_streams(app: App, ground: Ground) -> None:
    viewer = bearer(await app.token_of("vera", project_id=ground.service.project_id, role=Role.VIEWER))
    foreign = bearer(await app.token_of("fay"))
    async with app.serve() as http:
        assert (await ask(http, "GET", asked(ground, "/export"), headers=viewer))[0] == 403
        assert (await ask(http, "GET", asked(ground, "/export"), headers=foreign))[0] == 404
        for query in ({"since": "soon"}, {"format": "json"}, {"grep_regex": "["}):
            assert (await ask(http, "GET", asked(ground, "/export", **query), headers=ADMIN))[0] == 400
        held = [await http.get(asked(ground, "/stream"), headers=ADMIN) for _ in range(3)]
        status, body = await ask(http, "GET", asked(ground, "/export"), headers=ADMIN)
        assert (status, body["code"]) == (429, "too_many_streams")
        for answer in held:
            answer.close()
