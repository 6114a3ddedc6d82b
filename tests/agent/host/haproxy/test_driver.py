"""The driver on a real HAProxy: routes change while requests flow, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import socket
from itertools import pairwise
from typing import Self

import aiohttp
import pytest

from agent.core.faults import IngressUnavailable
from agent.model.ingress import IngressState, Route, Server, ServerState
from tests.haproxy import RunningHaproxy, Upstream, get, running_haproxy, state, upstreams, who
from tests.waiting import eventually


def route(*servers: Server, key: str = "svc-1", host: str = "a.test") -> Route:
    return Route(key=key, hosts=(host,), servers=servers)


class Load:
    """Constant requests from several clients, with and without kept connections, until stopped."""

    def __init__(self, haproxy: RunningHaproxy, host: str, *, clients: int = 8) -> None:
        self._haproxy = haproxy
        self._host = host
        self._clients = clients
        self._stopping = False
        self.answered: dict[str, int] = {}
        self.failures: list[str] = []

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        for number in range(self._clients):
            self._group.create_task(self._ask(keep=number % 2 == 0))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stopping = True
        await self._group.__aexit__(None, None, None)

    @property
    def total(self) -> int:
        return sum(self.answered.values())

    async def more(self, count: int) -> None:
        """Wait until that many further requests were answered."""
        goal = self.total + count

        await eventually(lambda: self.total >= goal or bool(self.failures), seconds=30)

    async def _ask(self, *, keep: bool) -> None:
        connector = aiohttp.TCPConnector(force_close=not keep)
        async with aiohttp.ClientSession(connector=connector) as session:
            while not self._stopping:
                try:
                    async with session.get(self._haproxy.url + "/", headers={"Host": self._host}) as answer:
                        body = await answer.text()
                        if answer.status != 200:
                            self.failures.append(f"{answer.status} {body}")
                            continue
                        name = json.loads(body)["name"]
                        self.answered[name] = self.answered.get(name, 0) + 1
                except (aiohttp.ClientError, OSError) as error:
                    self.failures.append(repr(error))


async def test_the_host_decides_whatever_its_case_and_port(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    one, two = pair
    result = await haproxy.driver().apply(
        state(route(one.server()), route(two.server(), key="svc-2", host="b.test")),
    )
    assert result.failed == result.refused == ()
    assert await who(haproxy, "a.test") == "r1"
    assert await who(haproxy, "A.TEST:8080") == "r1"
    assert await who(haproxy, "b.test") == "r2"


async def test_an_unknown_host_gets_404_in_plain_text(haproxy: RunningHaproxy) -> None:
    status, body, headers = await get(haproxy, "sub.a.test")
    assert status == 404
    assert headers["Content-Type"] == "text/plain"
    assert len(body) < 100


@pytest.mark.parametrize("servers", [[], [ServerState.DRAIN], [ServerState.MAINT]])
async def test_a_known_host_without_usable_server_gets_503_and_when_to_come_again(
    haproxy: RunningHaproxy, pair: list[Upstream], servers: list[ServerState]
) -> None:
    await haproxy.driver().apply(state(route(*(pair[0].server(each) for each in servers))))
    status, _, headers = await get(haproxy, "a.test")
    assert status == 503
    assert int(headers["Retry-After"]) > 0


async def test_applying_again_changes_nothing(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    wanted = state(route(pair[0].server(), pair[1].server(ServerState.DRAIN)))
    assert (await haproxy.driver().apply(wanted)).commands > 0
    assert (await haproxy.driver().apply(wanted)).commands == 0


async def test_an_ipv6_server_is_added_once_and_kept(haproxy: RunningHaproxy) -> None:
    wanted = state(route(Server(name="r6", address="::1", port=9)))
    assert (await haproxy.driver().apply(wanted)).failed == ()
    assert (await haproxy.driver().apply(wanted)).commands == 0


async def test_clients_cannot_say_where_they_come_from(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    await haproxy.driver().apply(state(route(pair[0].server())))
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-FORWARDED-PROTO": "https",
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Server": "evil",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X-Other": "kept",
    }
    _, body, _ = await get(haproxy, "a.test:80", headers=lies)
    headers = json.loads(body)["headers"]
    assert headers["x-forwarded-for"] == ["127.0.0.1"]
    assert headers["x-forwarded-proto"] == ["http"]
    assert headers["x-forwarded-host"] == ["a.test:80"]
    assert headers["x-other"] == ["kept"]
    assert not headers.keys() & {"x-forwarded-server", "x-real-ip", "forwarded"}


async def test_challenges_of_any_host_go_their_own_way() -> None:
    async with upstreams("agent", "r1") as (agent, one), running_haproxy(agent_port=agent.port) as haproxy:
        await haproxy.driver().apply(state(route(one.server())))
        for host in ("a.test", "nobody.test"):
            for kind in ("acme", "denia"):
                _, body, _ = await get(haproxy, host, f"/.well-known/{kind}-challenge/token")
                assert json.loads(body)["name"] == "agent"


async def test_servers_are_swapped_under_load_without_a_failed_request(haproxy: RunningHaproxy) -> None:
    driver = haproxy.driver()
    async with upstreams("r1", "r2", "r3", "r4") as replicas:
        await driver.apply(state(route(replicas[0].server())))
        async with Load(haproxy, "a.test") as load:
            await load.more(50)
            for old, new in pairwise(replicas):
                await driver.apply(state(route(old.server(), new.server())))
                await driver.apply(state(route(old.server(ServerState.DRAIN), new.server())))
                await load.more(30)

                async def drained(name: str = old.name) -> bool:
                    return (await driver.sessions([name]))[name] == 0

                await eventually(drained)
                await driver.apply(state(route(new.server())))
                await old.stop()
                await load.more(60)
    assert load.failures == []
    assert load.answered.keys() == {"r1", "r2", "r3", "r4"}
    backends = (await driver.observe()).backends
    assert [server.name for backend in backends for server in backend.servers] == ["r4"]


async def test_hosts_come_and_go_under_load_without_a_failed_request(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    await driver.apply(state(route(pair[0].server())))
    async with Load(haproxy, "a.test", clients=4) as load:
        for number in range(10):
            other = route(pair[1].server(), key=f"svc-{number + 2}", host=f"h{number}.test")
            assert (await driver.apply(state(route(pair[0].server()), other))).failed == ()
            assert await who(haproxy, f"h{number}.test") == "r2"
            await load.more(20)
        await driver.apply(state(route(pair[0].server())))
    assert load.failures == []
    assert await who(haproxy, "h9.test") == "404"


async def test_a_replica_that_dies_costs_no_failed_request(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    driver = haproxy.driver()
    dead = Server(name="dead", address="127.0.0.1", port=1)
    await driver.apply(state(route(pair[0].server(), dead)))
    for _ in range(10):
        assert await who(haproxy, "a.test") == "r1"

    async def noticed() -> bool:
        (found,) = [s for s in (await driver.observe()).routes["svc-1"].servers if s.name == "dead"]
        return found.status.startswith("DOWN")

    await eventually(noticed)


async def test_a_server_with_another_address_is_led_there(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    driver = haproxy.driver()
    await driver.apply(state(route(Server(name="same", address="127.0.0.1", port=pair[0].port))))
    assert await who(haproxy, "a.test") == "r1"
    await driver.apply(state(route(Server(name="same", address="127.0.0.1", port=pair[1].port))))
    assert await who(haproxy, "a.test") == "r2"


async def test_an_open_websocket_outlives_drain_and_removal_of_its_server(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    await driver.apply(state(route(pair[0].server())))
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(haproxy.url + "/ws", headers={"Host": "a.test"}) as channel:
            await channel.send_str("one")
            assert await channel.receive_str() == "r1:one"
            await driver.apply(state(route(pair[0].server(ServerState.DRAIN), pair[1].server())))
            assert await driver.sessions(["r1", "none"]) == {"r1": 1, "none": 0}
            result = await driver.apply(state(route(pair[1].server())))
            assert result.lingering == ("r1",)
            assert await who(haproxy, "a.test") == "r2"
            await channel.send_str("two")
            assert await channel.receive_str() == "r1:two"

    async def gone() -> bool:
        return (await driver.apply(state(route(pair[1].server())))).lingering == ()

    await eventually(gone)
    assert [server.name for server in (await driver.observe()).routes["svc-1"].servers] == ["r2"]


async def test_a_killed_haproxy_comes_back_with_the_last_routes_while_no_agent_runs(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    await driver.apply(state(route(pair[1].server())))
    await driver.apply(
        state(
            route(pair[0].server(), pair[1].server(ServerState.DRAIN)),
            route(pair[1].server(), key="svc-2", host="b.test"),
        )
    )
    before = (await driver.observe()).process
    await haproxy.kill()
    await haproxy.start()
    assert [await who(haproxy, "a.test") for _ in range(3)] == ["r1"] * 3
    assert await who(haproxy, "b.test") == "r2"
    assert (await haproxy.driver().observe()).process != before


async def test_an_agent_leads_a_restarted_haproxy_on_to_what_is_wanted(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    await driver.apply(state(route(pair[0].server())))
    await haproxy.kill()
    later = state(route(pair[1].server(), pair[0].server(ServerState.DRAIN)))
    with pytest.raises(IngressUnavailable):
        await driver.observe()
    with pytest.raises(IngressUnavailable):
        await driver.apply(later)
    await haproxy.start()
    assert await who(haproxy, "a.test") == "r2"
    assert (await driver.apply(later)).failed == ()
    servers = {server.name: server.state for server in (await driver.observe()).routes["svc-1"].servers}
    assert servers == {"r1": ServerState.DRAIN, "r2": ServerState.READY}


async def test_what_others_changed_by_hand_is_put_right(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    driver = haproxy.driver()
    wanted = state(route(pair[0].server()))
    await driver.apply(wanted)
    hosts = haproxy.paths.hosts
    await driver._runtime.ask(
        [
            "set server p0000/r1 state maint",
            "add server p0000/stray 127.0.0.1:9",
            f"add map {hosts} a.test p0003",
            f"add map {hosts} stray.test p0000",
        ]
    )
    await driver.apply(wanted)
    assert await who(haproxy, "a.test") == "r1"
    assert await who(haproxy, "stray.test") == "404"
    assert [server.name for server in (await driver.observe()).routes["svc-1"].servers] == ["r1"]


async def test_a_pool_too_small_grows_without_a_failed_request_or_a_cut_websocket(pair: list[Upstream]) -> None:
    async with running_haproxy(pool_size=2) as haproxy:
        driver = haproxy.driver()
        routes = [route(pair[0].server())]
        await driver.apply(state(*routes))
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(haproxy.url + "/ws", headers={"Host": "a.test"}) as channel:
                async with Load(haproxy, "a.test", clients=4) as load:
                    await load.more(20)
                    routes += [route(pair[1].server(), key=f"svc-b{n}", host=f"b{n}.test") for n in range(4)]
                    result = await driver.apply(state(*routes))
                    assert result.reloaded
                    assert result.failed == ()
                    await load.more(50)
                assert load.failures == []
                assert [await who(haproxy, f"b{n}.test") for n in range(4)] == ["r2"] * 4
                assert len((await driver.observe()).backends) == 8
                await channel.send_str("still")
                assert await channel.receive_str() == "r1:still"
                assert await driver.sessions(["r1"]) == {"r1": 1}
                assert (await driver.apply(state(*routes[1:]))).lingering == ("r1",)
        assert not (await driver.apply(state(*routes[1:]))).reloaded
        await haproxy.kill()
        await haproxy.start()
        assert len((await driver.observe()).backends) == 8
        assert [await who(haproxy, f"b{n}.test") for n in range(4)] == ["r2"] * 4


async def test_a_state_too_large_for_the_pool_is_kept_while_haproxy_is_down(pair: list[Upstream]) -> None:
    async with running_haproxy(pool_size=1) as haproxy:
        await haproxy.stop()
        wanted = state(*(route(pair[0].server(), key=f"svc-{n}", host=f"h{n}.test") for n in range(3)))
        with pytest.raises(IngressUnavailable):
            await haproxy.driver().apply(wanted)
        await haproxy.start()
        assert [await who(haproxy, f"h{n}.test") for n in range(3)] == ["r1"] * 3
        assert (await haproxy.driver().apply(wanted)).commands == 0


async def test_a_failed_reload_leaves_the_placed_routes_served_and_says_why(pair: list[Upstream]) -> None:
    async with running_haproxy(pool_size=1) as haproxy:
        driver = haproxy.driver()
        driver._reload_seconds = 0.5
        base = haproxy.paths.base
        base.write_text(base.read_text() + "\nnonsense\n")
        result = await driver.apply(state(route(pair[0].server()), route(pair[1].server(), key="svc-2", host="b.test")))
        assert "svc-2" in result.failed[0]
        assert await who(haproxy, "a.test") == "r1"


async def test_injected_commands_are_refused_and_never_reach_the_socket(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    evil = "r9 127.0.0.1:9\nshutdown sessions server p0000/r1"
    result = await driver.apply(
        IngressState(
            routes=(
                Route(
                    key="svc-1",
                    hosts=("a.test", "x.test p0000\nclear map #0", "y.test;clear map #0"),
                    servers=(
                        pair[0].server(),
                        Server(name=evil, address="127.0.0.1", port=9),
                        Server(name="r8", address="127.0.0.1:9\ndel server p0000/r1 #", port=9),
                    ),
                ),
                Route(key="svc-2\nbackend evil", hosts=("z.test",)),
            )
        )
    )
    assert len(result.refused) == 5
    assert result.failed == ()
    observed = await driver.observe()
    assert observed.routes.keys() == {"svc-1"}
    assert observed.routes["svc-1"].hosts == ("a.test",)
    assert [server.name for server in observed.routes["svc-1"].servers] == ["r1"]
    assert "evil" not in haproxy.paths.pool.read_text() + haproxy.paths.keys.read_text()


async def test_a_slow_sender_of_headers_is_ended() -> None:
    async with running_haproxy(header_seconds=1) as haproxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", haproxy.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ")
        async with asyncio.timeout(20):
            assert b"408" in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_request_that_names_two_hosts_is_refused(haproxy: RunningHaproxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", haproxy.port, family=socket.AF_INET)
    writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()
    await writer.wait_closed()


async def test_preparing_again_keeps_the_state_and_reloads_only_for_a_changed_base(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    await driver.apply(state(route(pair[0].server())))
    before = (await driver.observe()).process
    await haproxy.driver().prepare()
    assert (await driver.observe()).process == before
    haproxy.paths.base.write_text(haproxy.paths.base.read_text().replace("maxconn 2000", "maxconn 1999"))
    await haproxy.driver().prepare()
    assert (await driver.observe()).process != before
    assert await who(haproxy, "a.test") == "r1"
