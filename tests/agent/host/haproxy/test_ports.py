"""TCP ports of services on a real HAProxy: they open and close, and cost neither connections nor requests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest

from agent.core.faults import IngressUnavailable
from agent.host.haproxy.ports import find_taken, list_hosts
from agent.model.ingress import INNER_SUFFIX, IngressState, Route, Server, ServerState
from agent.rules.tcp_ports import name_tcp_route
from tests.agent.host.haproxy.test_identity import make_identity
from tests.haproxy import RunningHaproxy, Upstream, free_port, running_haproxy, state, who
from tests.waiting import eventually
from wire.identity import node_host
from wire.spec import PEER_PORT_OFFSET


class Echo:
    """A replica that speaks TCP: it says its name, and then whatever it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._ends: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Echo]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            for end in self._ends:
                end.close()
            await server.wait_closed()

    def server(self, state: ServerState = ServerState.READY) -> Server:
        return Server(name=self.name, address="127.0.0.1", port=self.port, state=state)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        with contextlib.suppress(ConnectionError):
            writer.write(f"{self.name}\n".encode())
            while line := await reader.readline():
                writer.write(line)
        writer.close()


class Call:
    """A connection to a port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hear(self) -> str:
        async with asyncio.timeout(5):
            return (await self._reader.readline()).decode().strip()

    async def echo(self, word: str) -> str:
        self._writer.write(f"{word}\n".encode())
        return await self.hear()


@contextlib.asynccontextmanager
async def call(port: int) -> AsyncIterator[Call]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Call(reader, writer)
    finally:
        writer.close()


async def name_at(port: int) -> str:
    """Who answers at the port; empty where the connection ends at once, `refused` where nobody listens."""
    try:
        async with call(port) as caller:
            return await caller.hear()
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return ""


@pytest.fixture
async def echoes() -> AsyncIterator[list[Echo]]:
    async with Echo("e1").listening() as one, Echo("e2").listening() as two:
        yield [one, two]


def tcp(port: int, *servers: Server, key: str = "svc-1") -> Route:
    return Route(key=name_tcp_route(key, port), servers=servers)


def web(upstream: Upstream) -> Route:
    return Route(key="svc-w", hosts=("a.test",), servers=(upstream.server(),))


async def test_a_port_opens_beside_the_hosts_and_shares_connections_among_its_replicas(
    haproxy: RunningHaproxy, pair: list[Upstream], echoes: list[Echo]
) -> None:
    port, driver = free_port(), haproxy.driver()
    one, two = echoes
    await driver.apply(state(web(pair[0])))
    wanted = state(web(pair[0]), tcp(port, one.server(), two.server()))
    result = await driver.apply(wanted)
    assert (result.reloaded, result.failed, result.refused) == (True, (), ())
    assert {await name_at(port) for _ in range(4)} == {"e1", "e2"}
    assert await who(haproxy, "a.test") == "r1"
    again = await driver.apply(wanted)
    assert (again.reloaded, again.commands) == (False, 0)


async def test_replicas_change_without_a_reload_and_what_is_connected_stays(
    haproxy: RunningHaproxy, echoes: list[Echo]
) -> None:
    port, driver = free_port(), haproxy.driver()
    one, two = echoes
    await driver.apply(state(tcp(port, one.server())))
    async with call(port) as caller:
        assert await caller.hear() == "e1"
        result = await driver.apply(state(tcp(port, two.server(), one.server(ServerState.DRAIN))))
        assert (result.reloaded, result.failed) == (False, ())
        assert [await name_at(port) for _ in range(3)] == ["e2"] * 3
        assert await caller.echo("still here") == "still here"
        assert await driver.sessions(["e1"]) == {"e1": 1}
        assert (await driver.apply(state(tcp(port, two.server())))).lingering == ("e1",)
        assert await caller.echo("even now") == "even now"

    async def has_ended() -> bool:
        return await driver.sessions(["e1"]) == {"e1": 0}

    await eventually(has_ended)


async def test_a_port_closes_with_its_route_and_the_next_service_has_it_at_once(
    haproxy: RunningHaproxy, echoes: list[Echo]
) -> None:
    port, driver = free_port(), haproxy.driver()
    one, two = echoes
    await driver.apply(state(tcp(port, one.server())))
    async with call(port) as caller:
        assert await caller.hear() == "e1"
        await driver.apply(state(tcp(port, two.server(), key="svc-2")))
        assert await name_at(port) == "e2"
        assert await caller.echo("mine") == "mine"
        assert (await driver.apply(state())).reloaded
        assert await name_at(port) == "refused"
        assert await caller.echo("still mine") == "still mine"


async def test_a_connection_may_be_silent_for_longer_than_it_takes_to_connect(echoes: list[Echo]) -> None:
    port = free_port()
    async with running_haproxy(header_seconds=1) as haproxy:
        await haproxy.driver().apply(state(tcp(port, echoes[0].server())))
        async with call(port) as caller, call(port) as another:
            assert await caller.hear() == "e1"
            await asyncio.sleep(2.5)
            assert await caller.echo("awake") == "awake"
            assert await another.hear() == "e1"


async def test_a_proxy_that_was_killed_listens_again_by_itself(haproxy: RunningHaproxy, echoes: list[Echo]) -> None:
    port, driver = free_port(), haproxy.driver()
    wanted = state(tcp(port, echoes[0].server()))
    await driver.apply(wanted)
    await haproxy.kill()
    await haproxy.start()
    assert await name_at(port) == "e1"
    assert (await driver.apply(wanted)).commands == 0


async def test_a_port_that_another_program_has_costs_nothing_but_itself(
    haproxy: RunningHaproxy, pair: list[Upstream], echoes: list[Echo]
) -> None:
    free, driver = free_port(), haproxy.driver()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        wanted = state(
            web(pair[0]), tcp(taken, echoes[0].server(), key="svc-1"), tcp(free, echoes[1].server(), key="svc-2")
        )
        result = await driver.apply(wanted)
        assert result.failed == (f"cannot listen on port {taken}: another program of this host has it",)
        assert await name_at(free) == "e2"
        await haproxy.kill()
        with pytest.raises(IngressUnavailable):
            await driver.apply(wanted)
        await haproxy.start()
        assert await who(haproxy, "a.test") == "r1"
    assert (await driver.apply(wanted)).failed == ()
    assert await name_at(taken) == "e1"


async def test_a_replica_that_does_not_listen_takes_no_connections(haproxy: RunningHaproxy, echoes: list[Echo]) -> None:
    port = free_port()
    deaf = Server(name="deaf", address="127.0.0.1", port=free_port())
    await haproxy.driver().apply(state(tcp(port, deaf, echoes[0].server())))

    async def only_the_other_answers() -> bool:
        return [await name_at(port) for _ in range(4)] == ["e1"] * 4

    await eventually(only_the_other_answers)


async def test_a_connection_reaches_a_replica_of_another_node_and_elsewhere_when_that_has_none(
    echoes: list[Echo],
) -> None:
    one, two = echoes
    port = free_low_port()
    lead = Server(name="n-b", address="127.0.0.1", port=port + PEER_PORT_OFFSET, peer=node_host("b"))
    async with (
        running_haproxy(identity=make_identity("a")) as near,
        running_haproxy(identity=make_identity("b")) as far,
    ):
        there = Route(key=name_tcp_route("svc-1", port) + INNER_SUFFIX, servers=(one.server(),))
        await far.driver().apply(IngressState(routes=(there,), peers=("a",)))
        result = await near.driver().apply(IngressState(routes=(tcp(port, lead),), peers=("b",)))
        assert result.failed == ()
        async with call(port) as caller:
            assert await caller.hear() == "e1"
            assert await caller.echo("across") == "across"
            leaving = Route(key=there.key, servers=(one.server(ServerState.DRAIN),))
            await far.driver().apply(IngressState(routes=(leaving,), peers=("a",)))
            await near.driver().apply(IngressState(routes=(tcp(port, lead, two.server()),), peers=("b",)))
            assert [await name_at(port) for _ in range(6)] == ["e2"] * 6
            assert await caller.echo("still") == "still"


async def test_the_port_between_nodes_is_closed_to_whoever_has_no_certificate_and_to_nodes_that_were_removed(
    echoes: list[Echo],
) -> None:
    port = free_low_port()
    lead = Server(name="n-b", address="127.0.0.1", port=port + PEER_PORT_OFFSET, peer=node_host("b"))
    async with (
        running_haproxy(identity=make_identity("a")) as near,
        running_haproxy(identity=make_identity("b"), header_seconds=1) as far,
    ):
        there = Route(key=name_tcp_route("svc-1", port) + INNER_SUFFIX, servers=(echoes[0].server(),))
        await far.driver().apply(IngressState(routes=(there,)))
        await near.driver().apply(IngressState(routes=(tcp(port, lead),), peers=("b",)))
        assert await name_at(port + PEER_PORT_OFFSET) == ""
        assert await name_at(port) == ""
        await far.driver().apply(IngressState(routes=(there,), peers=("a",)))
        assert await name_at(port) == "e1"


def free_low_port() -> int:
    """A port below those that connections go out from, free together with the one of other nodes above it."""
    return next(
        port
        for port in range(11000 + os.getpid() % 500 * 10, 20000)
        if not find_taken([port, port + PEER_PORT_OFFSET], hosts=["127.0.0.1"])
    )


def test_every_address_of_a_bind_counts_once() -> None:
    assert list_hosts("*:80") == ("*",)
    assert list_hosts("127.0.0.1:80,[::1]:80,127.0.0.1:81") == ("127.0.0.1", "[::1]")


def test_a_port_is_taken_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert find_taken([port], hosts=["127.0.0.1"]) == (port,)
        assert find_taken([port], hosts=["*"]) == (port,)
    assert find_taken([port], hosts=["127.0.0.1"]) == ()
