"""A WebSocket that answers where messages arrive."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kit.http.websocket import DirectClient, DirectWebSocket
from tests.waiting import eventually

MOST = 100_000
SIZES = (1, 125, 126, 999, 1000, 1001, 65_535, 65_536, 300_000)


class Place:
    """A server whose function answers what starts with `q`; the task answers the rest, when the test lets it."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once: list[bytes] = []
        self.received: list[aiohttp.WSMessage] = []

    def answer(self, message: bytes) -> bytes | None:
        if message.startswith(b"!"):
            raise ValueError
        if not message.startswith(b"q"):
            return None
        self.at_once.append(message)
        return b"at once " + message

    async def handle(self, request: web.Request) -> web.StreamResponse:
        websocket = DirectWebSocket(close_seconds=1, max_message_bytes=MOST)
        await websocket.prepare(request)
        websocket.answer_with(self.answer)
        while (message := await websocket.receive()).type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
            self.received.append(message)
            await self.gate.wait()
            said = message.data if isinstance(message.data, bytes) else message.data.encode()
            await websocket.send_bytes(b"later " + said)
            websocket.settle()
        return websocket


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
async def client(place: Place) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    app.router.add_get("/", place.handle)
    async with TestClient(TestServer(app)) as opened:
        yield opened


Client = TestClient[web.Request, web.Application]


async def test_a_message_is_answered_where_it_arrives_whatever_its_size(place: Place, client: Client) -> None:
    async with client.ws_connect("/") as websocket:
        for size in (1, 125, 126, 65_535, 65_536, MOST - 1):
            message = b"q" * size
            await websocket.send_bytes(message)
            assert await websocket.receive_bytes() == b"at once " + message
    assert place.received == []


async def test_what_is_left_goes_to_the_task_and_what_comes_behind_waits_for_it(place: Place, client: Client) -> None:
    async with client.ws_connect("/") as websocket:
        place.gate.clear()
        for message in (b"slow", b"q1", b"!", b"q2"):
            await websocket.send_bytes(message)
        await asyncio.sleep(0.05)
        assert place.at_once == []
        place.gate.set()
        assert [await websocket.receive_bytes() for _ in range(4)] == [
            b"later slow",
            b"later q1",
            b"later !",
            b"later q2",
        ]

        await websocket.send_bytes(b"q3")
        assert await websocket.receive_bytes() == b"at once q3"


async def test_text_pings_and_the_closing_handshake_are_the_librarys(place: Place, client: Client) -> None:
    async with client.ws_connect("/", autoping=False) as websocket:
        await websocket.ping(b"there?")
        assert (await websocket.receive()).type is aiohttp.WSMsgType.PONG
        await websocket.send_str("words")
        assert await websocket.receive_bytes() == b"later words"
        await websocket.send_bytes(b"q")
        assert await websocket.receive_bytes() == b"at once q"
        await websocket.close()
        assert websocket.close_code == aiohttp.WSCloseCode.OK


async def test_a_message_past_the_limit_ends_the_connection(client: Client) -> None:
    async with client.ws_connect("/") as websocket:
        await websocket.send_bytes(b"q" * (MOST + 1))
        assert (await websocket.receive()).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


def frame(payload: bytes, *, first: int = 0x82) -> bytes:
    """A masked frame of less than 126 bytes."""
    mask = os.urandom(4)
    return bytes((first, 0x80 | len(payload))) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def raw(client: Client, data: list[bytes], *, size: int) -> bytes:
    """What comes back behind the handshake, when these pieces follow it one by one."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + data[0]
    )
    for piece in data[1:]:
        await asyncio.sleep(0.005)
        writer.write(piece)
    await reader.readuntil(b"\r\n\r\n")
    got = await asyncio.wait_for(reader.readexactly(size), 5)
    writer.close()
    return got


async def test_messages_may_come_in_any_pieces(place: Place, client: Client) -> None:
    stream = frame(b"q1") + frame(b"", first=0x89) + frame(b"q2") + frame(b"slow")
    expected = [b"\x82\x0aat once q1", b"\x82\x0aat once q2", b"\x82\x0alater slow"]
    pong = b"\x8a\x00"

    got = await raw(
        client, [b"", *(stream[at : at + 1] for at in range(len(stream)))], size=len(b"".join([*expected, pong]))
    )

    assert [each for each in expected if each not in got] == []
    assert got.replace(pong, b"") == b"".join(expected)


async def test_messages_that_come_with_the_handshake_are_not_lost(place: Place, client: Client) -> None:
    second = frame(b"q2")

    got = await raw(client, [frame(b"slow") + second[:3], second[3:]], size=22)

    assert b"later slow" in got
    assert len(place.received) + len(place.at_once) == 2


async def test_a_message_in_frames_of_its_own_is_put_together(place: Place, client: Client) -> None:
    pieces = frame(b"sl", first=0x02) + frame(b"", first=0x89) + frame(b"ow", first=0x80)

    got = await raw(client, [b"", pieces], size=2 + 2 + len("later slow"))
    assert got.endswith(b"later slow")


class Mirror:
    """A server that writes each message back where it arrives, in pieces, and whose reading the test decides about."""

    def __init__(self) -> None:
        self.websocket: DirectWebSocket | None = None
        self.opened = asyncio.Event()
        self.received = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        websocket = self.websocket = DirectWebSocket(close_seconds=1, max_message_bytes=2_000_000)
        await websocket.prepare(request)
        end = websocket.end

        def take(message: bytes) -> None:
            self.received += len(message)
            end.write(message, most_bytes=1000)

        websocket.give_to(take)
        self.opened.set()
        while (message := await websocket.receive()).type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}:
            if message.type is aiohttp.WSMsgType.BINARY:
                take(message.data)
            websocket.settle()
        websocket.release()
        return websocket


@pytest.fixture
async def mirror() -> AsyncIterator[tuple[Mirror, Client]]:
    made = Mirror()
    app = web.Application()
    app.router.add_get("/", made.handle)
    async with TestClient(TestServer(app)) as opened:
        yield made, opened


async def test_bytes_go_through_both_direct_ends_in_order_whatever_their_size(mirror: tuple[Mirror, Client]) -> None:
    async with mirror[1].ws_connect("/") as websocket:
        direct, back, whole = DirectClient(websocket, max_message_bytes=MOST), bytearray(), asyncio.Event()

        def take(message: bytes) -> None:
            assert len(message) <= 1000
            back.extend(message)
            if len(back) == sum(SIZES):
                whole.set()

        direct.give_to(take)
        sent = [os.urandom(size) for size in SIZES]
        reading = asyncio.ensure_future(websocket.receive())
        for data in sent:
            direct.end.write(data)
            direct.end.say("words between")
        await asyncio.wait_for(whole.wait(), 5)
        assert bytes(back) == b"".join(sent)
        assert direct.heard > 0
        reading.cancel()
        direct.release()


async def test_a_side_that_is_not_read_is_full_until_it_is(mirror: tuple[Mirror, Client]) -> None:
    made, client = mirror
    async with client.ws_connect("/") as websocket:
        direct = DirectClient(websocket, max_message_bytes=MOST)
        await made.opened.wait()
        assert made.websocket is not None
        made.websocket.end.pause()
        assert made.websocket.end.is_paused
        for _ in range(400):
            direct.end.write(b"x" * 65_536)
            await asyncio.sleep(0)
            if direct.end.is_full:
                break
        assert direct.end.is_full
        direct.end.pause()
        made.websocket.end.resume()
        await asyncio.wait_for(direct.end.drained(), 5)
        direct.end.abort()
        direct.end.write(b"to nobody")
        direct.end.say("to nobody")
        request = made.websocket._req
        assert request is not None

        async def is_gone() -> bool:
            return request.transport is None

        await eventually(is_gone)
        made.websocket.end.say("to nobody")
        assert not made.websocket.end.is_paused, "whoever pings it may still ask"
