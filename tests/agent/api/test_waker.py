"""Requests for a service that sleeps wait at a real HAProxy, reach whoever wakes, and are told apart from the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from agent.api.waker import WakerServer
from agent.core.activity import Activities
from agent.core.waker import Waker
from agent.model.ingress import IngressState
from agent.rules.rotation import name_waker, plan_rotation
from kit.clock import SystemClock
from tests.haproxy import RunningHaproxy, Upstream, get, running_haproxy, state, upstreams
from tests.waiting import eventually
from wire.spec import NodeSpec, Route

ROUTE = Route(key="svc-s1", service_id="s1", service="web", hosts=("a.test",), replicas=(), asleep=True)


class Node:
    """A waker before a HAProxy, whose controld is the test."""

    def __init__(self, haproxy: RunningHaproxy, upstream: Upstream) -> None:
        self.haproxy = haproxy
        self.upstream = upstream
        self.driver = haproxy.driver()
        self.route = ROUTE
        self.asked: list[str] = []
        self.shown = IngressState()
        self.server = WakerServer(
            Waker(
                ask=self._ask,
                find=lambda service_id: self.route if service_id == "s1" else None,
                holds=self._holds,
                clock=SystemClock(),
            ),
            find=lambda host: self.route if host in self.route.hosts else None,
        )
        self.port = 0

    async def start(self) -> None:
        self.port = await self.server.start()
        await self.sleep()

    async def sleep(self) -> None:
        """Have the ingress lead to the waker."""
        self.route = ROUTE
        spec = NodeSpec(node_id="n1", routes=(self.route,))
        await self._apply(plan_rotation(spec, {}, [], None, engine_ok=True, waker_port=self.port))

    async def wake(self) -> None:
        """Have a replica there, and the ingress lead to it."""
        self.route = Route(key="svc-s1", service_id="s1", service="web", hosts=("a.test",), replicas=("r1",))
        (slept,) = plan_rotation(NodeSpec(node_id="n1", routes=(self.route,)), {}, [], None, engine_ok=True).routes
        assert slept.servers == ()
        await self._apply(state(type(slept)(key="svc-s1", hosts=("a.test",), servers=(self.upstream.server(),))))

    async def has_asked(self) -> bool:
        return self.asked == ["s1"]

    async def _apply(self, wanted: IngressState) -> None:
        result = await self.driver.apply(wanted)
        assert result.failed == result.refused == ()
        self.shown = wanted

    async def _ask(self, service_id: str) -> None:
        self.asked.append(service_id)

    def _holds(self, service_id: str) -> bool:
        return name_waker(service_id) in {server.name for route in self.shown.routes for server in route.servers}


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running_haproxy() as haproxy, upstreams("r1") as (upstream,):
        made = Node(haproxy, upstream)
        await made.start()
        yield made
        await made.server.close()


async def test_requests_wait_until_the_service_is_awake_and_are_answered_by_it(node: Node) -> None:
    async with aiohttp.ClientSession(headers={"Host": "a.test"}) as session:
        url = node.haproxy.url

        async def ask(method: str, body: bytes | None = None) -> tuple[int, str]:
            async with session.request(method, f"{url}/x?y=1", data=body) as answer:
                return answer.status, json.loads(await answer.text())["name"]

        waiting = [asyncio.create_task(ask(*each)) for each in (("GET",), ("POST", b"a" * 8000), ("DELETE",))]
        channel = asyncio.create_task(session.ws_connect(f"{url}/ws"))
        await eventually(node.has_asked)
        assert not any(task.done() for task in (*waiting, channel))
        await node.wake()
        assert await asyncio.gather(*waiting) == [(200, "r1")] * 3
        opened = await channel
        await opened.send_str("hello")
        assert (await opened.receive()).data == "r1:hello"
        await opened.close()
    assert node.asked == ["s1"], "many requests wake a service once"


async def test_what_the_ingress_could_not_send_again_is_told_to_come_back(node: Node) -> None:
    async with aiohttp.ClientSession(headers={"Host": "a.test"}) as session:
        async with session.post(node.haproxy.url, data=b"a" * 100_000) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        await eventually(node.has_asked)
        await node.wake()
        async with session.post(node.haproxy.url, data=b"a" * 100_000) as answer:
            assert answer.status == 200


async def test_what_waits_when_the_agent_ends_is_told_to_come_back(node: Node) -> None:
    waiting = asyncio.create_task(get(node.haproxy, "a.test"))
    await eventually(node.has_asked)
    await node.server.close()
    assert (await waiting)[0] == 503


async def test_a_service_goes_to_sleep_without_a_lost_request(node: Node) -> None:
    await node.wake()
    slow = asyncio.create_task(get(node.haproxy, "a.test", "/?sleep=0.5"))

    async def has_begun() -> bool:
        return node.upstream.requests == 1

    await eventually(has_begun)
    await node.sleep()
    waiting = asyncio.create_task(get(node.haproxy, "a.test"))
    await eventually(node.has_asked)
    assert (await slow)[0] == 200
    await node.wake()
    assert (await waiting)[0] == 200


async def test_the_ingress_tells_what_is_open_and_since_when_nothing_was_asked(node: Node) -> None:
    await node.wake()
    activities = Activities(node.driver, spec=lambda: None)

    async def tell() -> tuple[int, float]:
        (told,) = (await activities.read()).services
        assert told.service_id == "s1"
        return told.open_requests, told.idle_seconds

    before = await tell()
    assert before[0] == 0
    async with aiohttp.ClientSession(headers={"Host": "a.test"}) as session:
        channel = await session.ws_connect(f"{node.haproxy.url}/ws")
        assert await tell() == (1, 0)
        await channel.close()

    async def is_idle() -> bool:
        return (await tell())[0] == 0 and (await tell())[1] >= 1

    await eventually(is_idle)
