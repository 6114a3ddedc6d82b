"""Consoles over HTTP: tickets, the WebSocket's frames, who is let in and for how long, transcripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controld.model.caller import SETUP_CALLER
from controld.model.role import Role
from tests.consoles import Place, Seat, ask_ticket, seated
from tests.controld.app import App
from tests.controld.console_world import World, open_world, report
from tests.controld.deploying import make_ground
from tests.garbage import counting_garbage
from tests.waiting import eventually
from wire.agent.consoles import ConsoleFailed
from wire.link import ReplicaState


@pytest.fixture
async def world(app: App) -> AsyncIterator[World]:
    async with open_world(app) as made:
        yield made


async def test_replicas_that_run_are_listed_and_others_have_no_ticket(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.place.token}"}
    async with world.http.get(f"{world.place.path}/replicas", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (
            200,
            [
                {
                    "service_id": world.ground.service.id,
                    "service_name": "web",
                    "deployment_id": (await world.ground.replicas())[0].deployment_id,
                    "replica_index": 0,
                    "state": "running",
                }
            ],
        )
    status, fault = await ask_ticket(world.http, world.place, replica_index=1)
    assert (status, fault["error"]) == (409, "selected replica is not running")
    report(world.ground, ReplicaState.EXITED, await world.ground.replicas())
    assert (await ask_ticket(world.http, world.place))[0] == 409
    async with world.http.get(f"{world.place.path}/replicas", headers=headers) as answer:
        assert await answer.json() == []


async def test_a_service_without_a_promoted_deployment_has_no_consoles(app: App) -> None:
    ground = await make_ground(app)
    token = await app.token_of("ada", project_id=ground.service.project_id, role=Role.OPERATOR)
    async with app.serve() as http:
        place = Place(str(http._base_url).rstrip("/"), token, ground.service.id)
        status, fault = await ask_ticket(http, place)
        assert (status, fault["error"]) == (409, "service has no promoted deployment")


async def test_a_ticket_is_64_hex_digits_for_30_seconds_and_kept_as_a_hash(world: World) -> None:
    _, issued = await ask_ticket(world.http, world.place)
    assert len(bytes.fromhex(issued["ticket"])) == 32
    assert issued["expires_at"] == "2026-01-01T00:00:30Z"
    assert issued["ws_path"] == f"/v1/services/{world.place.service_id}/console/ws?ticket={issued['ticket']}"
    for file in Path(world.app.database.url.partition("///")[2]).parent.glob("control.db*"):
        assert issued["ticket"].encode() not in file.read_bytes()


async def test_a_console_carries_bytes_and_frames_and_says_how_it_ended(world: World) -> None:
    async with seated(world.http, world.place, cols=0, rows=500) as seat:
        shell = world.app.agents.shells[seat.session_id]
        assert (shell.begun.cols, shell.begun.rows) == (1, 120)
        await seat.websocket.send_bytes(b"\x00\xff\x1b[A")
        await seat.until(b"\x00\xff\x1b\\[A")
        await seat.say(type="resize", cols=4000, rows=-3)
        await seat.say(type="dance")
        await seat.websocket.send_str("[]")
        shell.show(b"x" * 20_000)
        await seat.until(b"x{20000}")
        assert seat.largest == 8192
        assert shell.sizes[-1] == (300, 1)
        shell.end("exited", exit_code=137)
        assert (await seat.until_over())[1:] == [{"type": "exit", "code": 137}]
    assert seat.websocket.close_code == 1000
    assert [action for action, _ in await world.audit()] == ["console.start", "console.end"]
    assert (await world.audit())[-1][1]["how"] == "exited"


async def test_a_console_without_a_terminal_is_asked_for_as_such_and_told_the_end_of_its_input(world: World) -> None:
    async with seated(world.http, world.place) as seat:
        assert world.app.agents.shells[seat.session_id].begun.tty
        await seat.say(type="eof")
        await seat.websocket.send_bytes(b"still there")
        await seat.until(b"still there")
    async with seated(world.http, world.place, more="&tty=false") as seat:
        assert not world.app.agents.shells[seat.session_id].begun.tty
        await seat.websocket.send_bytes(b"\x04\r\n")
        await seat.say(type="eof")
        assert (await seat.until_over())[1:] == [{"type": "exit", "code": 0}]
        assert bytes(seat.shown) == b"\x04\r\n"


async def test_a_ticket_is_good_once_whatever_came_of_it(world: World, app: App) -> None:
    _, issued = await ask_ticket(world.http, world.place)
    path = issued["ws_path"]
    other = path.replace(world.place.service_id, "018f3a5c-7b1e-7c3a-9d2f-0123456789ab")
    assert await world.present(other) == 401
    assert await world.present(path) == 401

    _, issued = await ask_ticket(world.http, world.place)
    assert await world.present(issued["ws_path"]) == 101
    assert await world.present(issued["ws_path"]) == 401

    _, issued = await ask_ticket(world.http, world.place)
    await app.clock.advance(31)
    assert await world.present(issued["ws_path"]) == 401
    assert await world.present(path.partition("?")[0]) == 401
    async with world.http.get(issued["ws_path"]) as answer:
        assert answer.status == 400


@pytest.mark.parametrize("change", ["demoted", "removed", "token revoked", "user deleted"])
async def test_who_lost_the_right_meanwhile_is_not_let_in(world: World, app: App, change: str) -> None:
    _, issued = await ask_ticket(world.http, world.place)
    await lose(world, change)
    assert await world.present(issued["ws_path"]) == {"demoted": 403, "removed": 404}.get(change, 401)
    assert app.agents.shells == {}


@pytest.mark.parametrize("change", ["demoted", "removed", "token revoked", "user deleted"])
async def test_a_console_ends_as_soon_as_its_holder_loses_the_right(world: World, change: str) -> None:
    async with seated(world.http, world.place) as seat:
        await lose(world, change)
        frames = await seat.until_over(seconds=5)
        assert frames[1:] == [
            {"type": "error", "message": "access was withdrawn"},
            {"type": "exit", "code": 129},
        ]
        assert seat.websocket.close_code == 1008
    assert (await world.audit("console.end"))[0][1]["how"] == "revoked"


async def lose(world: World, change: str) -> None:
    """Take from ada what a console needs."""
    app, project_id = world.app, world.ground.service.project_id
    caller = await app.identities.recognise(world.place.token, address="")
    assert caller is not None
    assert caller.user_id is not None
    assert caller.token_id is not None
    match change:
        case "demoted":
            await app.members.put(SETUP_CALLER, project_id, user_id=caller.user_id, role=Role.VIEWER)
        case "removed":
            await app.members.remove(SETUP_CALLER, project_id, user_id=caller.user_id)
        case "token revoked":
            await app.tokens.delete(caller, caller.token_id)
        case _:
            await app.users.delete(SETUP_CALLER, caller.user_id)


async def test_pages_of_other_origins_are_refused(world: World) -> None:
    host = world.place.url.removeprefix("http://")
    assert await world.connect(origin=f"http://{host}") == 101
    assert await world.connect(origin="https://panel.example") == 101
    for origin in ("http://evil.example", "null", f"http://{host}.evil.example", f"http://evil.example/{host}"):
        assert await world.connect(origin=origin) == 403


async def test_two_of_a_service_and_sixteen_in_all_are_the_most(world: World) -> None:
    async with seated(world.http, world.place), seated(world.http, world.place):
        assert await world.connect() == 429
    assert await eventually(world.connect, met=lambda status: status == 101) == 101


async def test_one_that_lost_its_client_gives_way_its_owners_first(world: World, app: App) -> None:
    async with seated(world.http, world.place) as first:
        await first.drop()
    async with seated(world.http, world.place) as second:
        await second.drop()
    rooms = app.console_parts.rooms
    await eventually(lambda: asyncio.sleep(0, rooms.connected), met=lambda count: count == 0)
    assert len(rooms) == 2

    async with seated(world.http, world.place):
        ended = [app.agents.shells[seat.session_id].ended for seat in (first, second)]
        assert [each.how if each else None for each in ended] == ["evicted", None]


async def test_who_vanished_comes_back_to_what_was_missed_and_to_nobody_elses(world: World, app: App) -> None:
    async with seated(world.http, world.place) as first:
        await first.type("abc")
        await first.until(b"abc")
        await first.drop()
    shell = app.agents.shells[first.session_id]
    await eventually(lambda: asyncio.sleep(0, shell.line), met=lambda line: line is None)
    assert shell.ended is None
    shell.show(b"def")
    stranger = await app.token_of("eve", project_id=world.ground.service.project_id, role=Role.ADMIN)
    assert (await ask_ticket(world.http, world.as_(stranger), session_id=first.session_id))[0] == 404

    async with seated(world.http, world.place, session_id=first.session_id, received=3) as second:
        assert second.frames[0]["position"] == 3
        await second.until(b"^def")
        await second.say(type="close")
        assert (await second.until_over())[-1] == {"type": "exit", "code": 129}

    assert (await ask_ticket(world.http, world.place, session_id=first.session_id))[0] == 200
    await app.clock.advance(61)
    assert (await ask_ticket(world.http, world.place, session_id=first.session_id))[0] == 404
    assert [action for action, _ in await world.audit()] == ["console.start", "console.return", "console.end"]


async def test_a_console_that_cannot_start_says_why_and_closes(world: World, app: App) -> None:
    app.agents.refusal = ConsoleFailed(code="shell_missing", message="the image has no shell")
    _, issued = await ask_ticket(world.http, world.place)
    async with world.http.ws_connect(world.place.url + issued["ws_path"]) as websocket:
        seat = Seat(websocket)
        assert await seat.until_over() == [{"type": "error", "message": "the image has no shell"}]
        assert websocket.close_code == 1011
    assert (await world.audit("console.end"))[0][1]["how"] == "failed"
    assert len(app.console_parts.rooms) == 0


async def test_a_node_that_goes_silent_is_told_and_its_consoles_end_is_learned_later(world: World, app: App) -> None:
    async with seated(world.http, world.place) as seat:
        shell = app.agents.shells[seat.session_id]
        assert shell.line is not None
        shell.line.cut()
        assert (await seat.until_over())[-1] == {"type": "error", "message": "the connection to the node was lost"}
        assert seat.websocket.close_code == 1011
    ledger = app.console_parts.ledger
    app.agents.silent_nodes = set(world.ground.nodes)
    await app.clock.advance(120)
    await ledger.sweep()
    assert await world.audit("console.end") == []
    app.agents.silent_nodes = set()
    shell.end("abandoned", exit_code=129)
    await ledger.sweep()
    await ledger.sweep()
    (end,) = await world.audit("console.end")
    assert (end[1]["how"], end[1]["exit_code"], end[1]["seconds"]) == ("abandoned", 129, 120.0)


async def test_a_transcript_holds_what_was_shown_and_admins_alone_read_it(world: World, app: App) -> None:
    async with seated(world.http, world.place, cols=80, rows=24) as seat:
        shell = app.agents.shells[seat.session_id]
        shell.show("pass\u00e9 \U0001f600".encode()[:7])
        await app.clock.advance(0.5)
        shell.show("pass\u00e9 \U0001f600".encode()[7:])
        await seat.say(type="resize", cols=100, rows=30)
        await seat.until("\U0001f600".encode())
        shell.end("exited", exit_code=0)
        await seat.until_over()
    await eventually(lambda: _transcripts(world, world.place.token), met=lambda told: told[0] == 403)
    admin = await app.token_of("grace", project_id=world.ground.service.project_id, role=Role.ADMIN)
    _, (listed,) = await eventually(lambda: _transcripts(world, admin), met=lambda told: bool(told[1]))
    assert (listed["session_id"], listed["username"], listed["how"]) == (seat.session_id, "ada", "exited")
    headers = {"Authorization": f"Bearer {admin}"}
    async with world.http.get(f"{world.place.path}/transcripts/{seat.session_id}", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "application/x-asciicast")
        header, *events = [json.loads(line) for line in (await answer.read()).splitlines()]
    assert (header["version"], header["width"], header["height"]) == (2, 80, 24)
    assert "".join(text for _, kind, text in events if kind == "o") == "pass\u00e9 \U0001f600"
    assert [text for _, kind, text in events if kind == "r"] == ["100x30"]
    assert [moment for moment, *_ in events] == [0.0, 0.5, 0.5]
    file = app.console_parts.transcripts.path_of(seat.session_id)
    assert file.stat().st_mode & 0o777 == 0o600
    assert (await world.audit("console.transcript"))[0][0] == "console.transcript.read"

    await app.clock.advance(31 * 86_400)
    await app.console_parts.ledger.sweep()
    assert not file.exists()
    assert (await _transcripts(world, admin))[1] == []


async def _transcripts(world: World, token: str) -> tuple[int, list[dict[str, Any]]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with world.http.get(f"{world.place.path}/transcripts", headers=headers) as answer:
        return answer.status, await answer.json() if answer.status == 200 else []


async def test_a_client_that_is_silent_to_pings_has_gone_and_its_shell_has_not(pinging_app: App) -> None:
    async with open_world(pinging_app) as world:
        _, issued = await ask_ticket(world.http, world.place)
        async with world.http.ws_connect(world.place.url + issued["ws_path"], autoping=False) as websocket:
            seat = Seat(websocket)
            await seat.until_ready()
            shell = pinging_app.agents.shells[seat.session_id]
            await eventually(lambda: asyncio.sleep(0, shell.line), met=lambda line: line is None, seconds=10)
            assert shell.ended is None
            assert pinging_app.console_parts.rooms.connected == 0


@pytest.mark.parametrize("way", ["close", "drop"])
async def test_a_console_that_is_over_leaves_nothing_to_the_garbage_collector(world: World, way: str) -> None:
    with counting_garbage() as found:
        for _ in range(3):
            async with seated(world.http, world.place) as seat:
                if way == "drop":
                    await seat.drop()
                else:
                    await seat.websocket.close()
        rooms = world.app.console_parts.rooms
        await eventually(lambda: asyncio.sleep(0, rooms.connected), met=lambda count: count == 0)
        await asyncio.sleep(0.1)
    ours = {"SocketTerminal", "DirectWebSocket", "RequestHandler", "Valve", "FakeLine", "TranscriptWriter"}
    assert {name: count for name, count in found.items() if name in ours} == {}
