"""Proofs are asked for over real sockets: at the address that was judged, once, and no further."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from controld.gateways.ownership import OwnershipCheck
from controld.model.ownership import Proof
from kit.addresses import Address
from tests.fixtures.network import find_free_port

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken"


class Names:
    """A resolver of one answer, which counts how often it is asked."""

    def __init__(self, *answers: str) -> None:
        self._answers: list[Address] = [ipaddress.ip_address(answer) for answer in answers]
        self.asked = 0

    async def resolve(self, hostname: str) -> list[Address]:
        self.asked += 1
        return self._answers


@contextlib.asynccontextmanager
async def host(
    answer: bytes | Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A host that answers every request so; the port, and the heads of the requests it got."""
    heads: list[bytes] = []
    over = asyncio.Event()
    open_now: set[asyncio.StreamWriter] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over.clear()
        open_now.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                await answer(writer)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        open_now.discard(writer)
        if not open_now:
            over.set()

    over.set()
    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()
        await over.wait()


async def ask(names: Names, port: int, *, limit_seconds: float = 5.0, allowed: bool = True) -> Proof:
    check = OwnershipCheck(names, port=port, allowed=LOOPBACK if allowed else (), limit_seconds=limit_seconds)
    return await check.ask("a.example.com", "/.well-known/denia-challenge/t")


async def test_the_host_is_asked_by_its_name_at_the_address_that_was_looked_up_once() -> None:
    names = Names("127.0.0.1", "127.0.0.2")
    async with host(OK) as (port, heads):
        assert await ask(names, port) == Proof(status=200, body=b"token")
    assert names.asked == 1
    (head,) = heads
    assert head.startswith(b"GET /.well-known/denia-challenge/t HTTP/1.1\r\n")
    assert b"\r\nHost: a.example.com\r\n" in head
    assert b"denia-verifier/1" in head


async def test_an_address_inside_is_never_connected_to_unless_allowed() -> None:
    async with host(OK) as (port, heads):
        for names in (Names("127.0.0.1"), Names("93.184.216.34", "127.0.0.1"), Names()):
            assert await ask(names, port, allowed=False) == Proof(problem="dns lookup failed")
    assert heads == []


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with host(OK) as (inner, inner_heads):
        target = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner}/\r\nContent-Length: 0\r\n\r\n"
        async with host(target.encode()) as (port, _):
            assert await ask(Names("127.0.0.1"), port) == Proof(status=302)
    assert inner_heads == []


@pytest.mark.parametrize("sent", [1024, 1025])
async def test_a_body_of_more_than_a_kibibyte_is_not_read_to_its_end(sent: int) -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * sent)

    async with host(flood) as (port, _):
        proof = await ask(Names("127.0.0.1"), port)
    assert proof == (Proof(status=200, body=b"x" * 1024) if sent == 1024 else Proof(problem="body too large"))


async def test_a_compressed_body_stays_as_it_came() -> None:
    async with host(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc") as (port, _):
        assert await ask(Names("127.0.0.1"), port) == Proof(status=200, body=b"abc")


async def test_a_host_that_trickles_is_given_up_at_the_deadline() -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with host(trickle) as (port, _):
        assert await ask(Names("127.0.0.1"), port, limit_seconds=0.3) == Proof(problem="connection timeout")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"])
async def test_what_is_no_whole_answer_counts_as_refused(answer: bytes) -> None:
    async with host(answer) as (port, _):
        assert await ask(Names("127.0.0.1"), port) == Proof(problem="connection refused")


async def test_nobody_listening_is_refused() -> None:
    assert await ask(Names("127.0.0.1"), find_free_port()) == Proof(problem="connection refused")


async def test_a_lookup_that_hangs_has_failed_at_the_deadline() -> None:
    class Silent:
        async def resolve(self, hostname: str) -> list[Address]:
            await asyncio.Event().wait()
            return []

    check = OwnershipCheck(Silent(), limit_seconds=0.05)
    assert await check.ask("a.example.com", "/") == Proof(problem="dns lookup failed")
