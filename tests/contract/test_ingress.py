"""The fake ingress and HAProxy, held to the same cases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest

from agent.core.faults import IngressUnavailable
from agent.core.ports import Ingress
from agent.model.ingress import Route, Server, ServerState
from agent.rules.tcp_ports import name_tcp_route
from tests.fakes.ingress import FakeIngress
from tests.haproxy import free_port, running_haproxy, state, upstreams
from tests.waiting import eventually


@dataclass
class Twin:
    """One of the two, with what a test may do to it from outside; `open` holds one session on the first server."""

    ingress: Ingress
    servers: tuple[Server, Server]
    stop: Callable[[], Awaitable[None]]
    start: Callable[[], Awaitable[None]]
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


def _servers(first: int, second: int) -> tuple[Server, Server]:
    return (
        Server(name="r1", address="127.0.0.1", port=first),
        Server(name="r2", address="127.0.0.1", port=second),
    )


async def _fake() -> AsyncIterator[Twin]:
    fake = FakeIngress(pool_size=2)

    async def stop() -> None:
        fake.down = True

    async def start() -> None:
        fake.down = False
        fake.restart()

    async def hold() -> None:
        fake.hold("r1", 1)

    async def release() -> None:
        fake.hold("r1", 0)

    yield Twin(ingress=fake, servers=_servers(1, 2), stop=stop, start=start, open=hold, close=release)


async def _real() -> AsyncIterator[Twin]:
    async with (
        upstreams("r1", "r2") as (one, two),
        running_haproxy(pool_size=2) as haproxy,
        aiohttp.ClientSession() as session,
    ):
        channels: list[aiohttp.ClientWebSocketResponse] = []

        async def hold() -> None:
            channels.append(await session.ws_connect(haproxy.url + "/ws", headers={"Host": "a.test"}))

        async def release() -> None:
            await channels.pop().close()

        yield Twin(
            ingress=haproxy.driver(),
            servers=_servers(one.port, two.port),
            stop=haproxy.kill,
            start=haproxy.start,
            open=hold,
            close=release,
        )


@pytest.fixture(params=[_fake, _real], ids=["fake", "haproxy"])
async def twin(request: pytest.FixtureRequest) -> AsyncIterator[Twin]:
    async for made in request.param():
        yield made


def route(*servers: Server, key: str = "svc-1", hosts: tuple[str, ...] = ("a.test",)) -> Route:
    return Route(key=key, hosts=hosts, servers=servers)


def drained(server: Server) -> Server:
    return Server(name=server.name, address=server.address, port=server.port, state=ServerState.DRAIN)


async def test_what_was_applied_is_observed_and_again_does_nothing(twin: Twin) -> None:
    one, two = twin.servers
    wanted = state(route(one, drained(two), hosts=("b.test", "a.test")))
    result = await twin.ingress.apply(wanted)
    assert (result.commands > 0, result.reloaded, result.lingering, result.refused) == (True, False, (), ())
    found = (await twin.ingress.observe()).routes["svc-1"]
    assert found.hosts == ("a.test", "b.test")
    assert {(s.name, s.address, s.port, s.state) for s in found.servers} == {
        ("r1", "127.0.0.1", one.port, ServerState.READY),
        ("r2", "127.0.0.1", two.port, ServerState.DRAIN),
    }
    assert (await twin.ingress.apply(wanted)).commands == 0


async def test_a_port_comes_and_goes_by_a_reload_and_its_replicas_without_one(twin: Twin) -> None:
    one, two = twin.servers
    web, key = route(one), name_tcp_route("svc-2", free_port())
    opened = await twin.ingress.apply(state(web, Route(key=key, servers=(one,))))
    assert (opened.reloaded, opened.failed) == (True, ())
    changed = await twin.ingress.apply(state(web, Route(key=key, servers=(two,))))
    assert (changed.reloaded, changed.failed) == (False, ())
    observed = await twin.ingress.observe()
    assert [server.name for server in observed.routes[key].servers] == [two.name]
    assert (await twin.ingress.apply(state(web, Route(key=key, servers=(two,))))).commands == 0
    assert (await twin.ingress.apply(state(web))).reloaded
    after = await twin.ingress.observe()
    assert (set(after.routes), after.pool_size) == ({"svc-1"}, observed.pool_size)


async def test_a_route_that_is_gone_leaves_nothing(twin: Twin) -> None:
    await twin.ingress.apply(state(route(*twin.servers)))
    await twin.ingress.apply(state())
    observed = await twin.ingress.observe()
    assert observed.routes == {}
    assert observed.hosts == {}
    assert all(not backend.servers for backend in observed.backends)


async def test_a_server_with_open_sessions_lingers_until_they_end(twin: Twin) -> None:
    one, two = twin.servers
    await twin.ingress.apply(state(route(one)))
    await twin.open()
    assert await twin.ingress.sessions(["r1", "r2"]) == {"r1": 1, "r2": 0}
    result = await twin.ingress.apply(state(route(two)))
    assert result.lingering == ("r1",)
    left = {server.name: server.state for server in (await twin.ingress.observe()).routes["svc-1"].servers}
    assert left == {"r1": ServerState.DRAIN, "r2": ServerState.READY}
    await twin.close()

    async def gone() -> bool:
        return (await twin.ingress.apply(state(route(two)))).lingering == ()

    await eventually(gone)
    assert [server.name for server in (await twin.ingress.observe()).routes["svc-1"].servers] == ["r2"]


async def test_a_pool_too_small_grows_once(twin: Twin) -> None:
    await twin.ingress.apply(state(route(twin.servers[0])))
    await twin.open()
    process = (await twin.ingress.observe()).process
    wanted = state(*(route(twin.servers[1], key=f"svc-{n}", hosts=(f"h{n}.test",)) for n in range(3)))
    result = await twin.ingress.apply(wanted)
    assert (result.reloaded, result.failed, result.lingering) == (True, (), ("r1",))
    observed = await twin.ingress.observe()
    assert observed.process == await twin.ingress.identify() != process
    assert observed.routes.keys() == {"svc-0", "svc-1", "svc-2"}
    assert len(observed.backends) == 4
    assert await twin.ingress.sessions(["r1"]) == {"r1": 1}
    await twin.close()
    assert not (await twin.ingress.apply(wanted)).reloaded


async def test_a_state_applied_while_down_is_served_after_the_start(twin: Twin) -> None:
    one, two = twin.servers
    await twin.ingress.apply(state(route(one)))
    process = (await twin.ingress.observe()).process
    assert await twin.ingress.identify() == process
    await twin.stop()
    with pytest.raises(IngressUnavailable):
        await twin.ingress.identify()
    with pytest.raises(IngressUnavailable):
        await twin.ingress.observe()
    with pytest.raises(IngressUnavailable):
        await twin.ingress.sessions(["r1"])
    with pytest.raises(IngressUnavailable):
        await twin.ingress.apply(state(route(two)))
    await twin.start()
    observed = await twin.ingress.observe()
    assert observed.process != process
    assert [server.name for server in observed.routes["svc-1"].servers] == ["r2"]


async def test_bad_parts_are_left_out_and_told(twin: Twin) -> None:
    bad = Server(name="r 2", address="127.0.0.1", port=80)
    result = await twin.ingress.apply(state(route(twin.servers[0], bad, hosts=("a.test", "B.test"))))
    assert len(result.refused) == 2
    found = (await twin.ingress.observe()).routes["svc-1"]
    assert (found.hosts, [server.name for server in found.servers]) == (("a.test",), ["r1"])
