"""Two nodes under load: services scale, move, drain and outlive a machine, and no request is lost."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from client.api import Api
from client.messages import Service
from tests.e2e.platform import (
    Load,
    Platform,
    await_end,
    begin_deployment,
    deploy_site,
    docker,
    host_of,
    open_platform,
    pack_site,
    put_service,
    run_down,
    run_up,
    steady_load,
)
from tests.e2e.second_node import SecondNode, second_node
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def platform(docker_engine: object) -> Iterator[Platform]:
    """A platform of its own, which gives a silent node up soon."""
    del docker_engine
    with tempfile.TemporaryDirectory(prefix="mf") as folder:
        state = Path(folder) / "state"
        settings = {"beat_seconds": "1", "node_lost_seconds": "8", "drain_seconds": "20", "placement_seconds": "5"}
        try:
            yield open_platform(state, run_up(state, "--no-example", **settings))
        finally:
            for log in sorted((state / "logs").glob("*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")
            run_down(state, "--purge")


@pytest.fixture
async def second(platform: Platform) -> AsyncIterator[SecondNode]:
    """A second node of the platform."""
    with tempfile.TemporaryDirectory(prefix="m2") as folder:
        async with second_node(platform, Path(folder)) as node:
            yield node


@contextlib.asynccontextmanager
async def load_on(*urls: str, host: str, per_second: int = 40) -> AsyncIterator[list[Load]]:
    """Requests to the ingress of several nodes, each on a fresh connection."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(steady_load(url, host, per_second=per_second, fresh=True)) for url in urls
        ]


async def placed(api: Api, node_id: str, service: Service) -> list[str]:
    """The states of the service's replicas that should run on the node."""
    node = await api.get_node(node_id)
    name = f"default/{service.name}"
    return [one.state or "" for one in node.replicas if one.service == name and one.wanted == "running"]


async def runs_at(api: Api, node_id: str, service: Service) -> bool:
    """Whether the node has one replica of the service, and it is healthy."""
    return await placed(api, node_id, service) == ["healthy"]


async def settled(api: Api, service: Service, count: int) -> None:
    """Wait until so many replicas run, and all of them are healthy."""

    async def is_so() -> bool:
        (workload,) = [one for one in await api.list_workloads() if one.service_id == service.id]
        return workload.replica_count == workload.healthy_replicas == count

    await eventually(is_so, seconds=60)


async def test_a_drained_node_hands_its_service_over_without_a_lost_request(
    platform: Platform, api: Api, second: SecondNode
) -> None:
    service = await put_service(api, "moving", placement={"nodes": ["second"]})
    command = '["/bin/sh", "-c", "echo I begin; exec /bin/busybox httpd -f -p 8080 -h /www"]'
    site = await pack_site("here I am", command=command)
    assert (await deploy_site(api, service, site)).status == "Healthy"
    assert await placed(api, second.id, service) == ["healthy"]
    host = await host_of(api, service)
    await put_service(api, "moving", placement=None)
    urls = (platform.ingress_url, second.ingress_url)
    async with load_on(*urls, host=host) as loads, aiohttp.ClientSession() as session:
        stream = await session.get(platform.ingress_url + "/cgi-bin/ticks", headers={"Host": host})
        assert (await _next_event(stream)).startswith("data: ")
        await asyncio.sleep(1)
        await api.drain_node(second.id)
        await eventually(functools.partial(runs_at, api, platform.node_id, service), seconds=60)
        before = int((await _next_event(stream)).removeprefix("data: "))
        assert int((await _next_event(stream)).removeprefix("data: ")) == before + 1
        stream.close()

        async def is_drained() -> bool:
            return (await second.see(api)).state == "drained"

        await eventually(is_drained, seconds=60)
        await asyncio.sleep(1)
    for load in loads:
        assert load.failures == []
        assert load.bodies.keys() == {"here I am"}
        assert load.sent > 100
    assert await platform.containers(service_id=service.id)
    # One line is in the archive of the node that the service has left.
    assert await api.list_logs(service.id, []) == (["I begin", "I begin"], "")
    await second.kill("agent")
    await asyncio.to_thread(second.launch, "agent")
    heard_at = (await second.see(api)).heard_at

    async def is_heard_again() -> bool:
        return (await second.see(api)).heard_at != heard_at

    await eventually(is_heard_again, seconds=30)
    assert (await second.see(api)).state == "drained"
    assert (await api.undrain_node(second.id)).state == "ready"
    await api.delete_service(service.id)


async def test_replicas_come_go_and_are_replaced_under_load_on_both_nodes(
    platform: Platform, api: Api, second: SecondNode
) -> None:
    service = await put_service(api, "many")
    assert (await deploy_site(api, service, await pack_site("release 1"))).status == "Healthy"
    host = await host_of(api, service)
    async with load_on(platform.ingress_url, second.ingress_url, host=host) as loads:
        await put_service(api, "many", replicas=3)
        await settled(api, service, 3)
        homes = [await placed(api, node_id, service) for node_id in (platform.node_id, second.id)]
        assert sorted(map(len, homes)) == [1, 2]
        deployment = await begin_deployment(api, service, await pack_site("release 2"))
        ended = await await_end(api, deployment.id)
        assert ended.status == "Healthy", ended.reason
        await put_service(api, "many", replicas=1)
        await settled(api, service, 1)
        await asyncio.sleep(1)
    for load in loads:
        assert load.failures == []
        assert load.bodies.keys() == {"release 1", "release 2"}
    log = [event.data async for event in api.follow_deployment(deployment.id)]
    assert any("HEALTHCHECK 1 of 3 replicas passed" in line for line in log)
    await api.delete_service(service.id)


async def test_what_ran_on_a_lost_machine_moves_and_is_dropped_when_it_comes_back(
    platform: Platform, api: Api, second: SecondNode
) -> None:
    service = await put_service(api, "outliving", placement={"nodes": ["second"]})
    assert (await deploy_site(api, service, await pack_site("still here"))).status == "Healthy"
    host = await host_of(api, service)
    await put_service(api, "outliving", placement=None)
    for program in ("agent", "haproxy"):
        await second.kill(program)

    await eventually(functools.partial(runs_at, api, platform.node_id, service), seconds=90)
    node = await second.see(api)
    assert node.state == "lost"
    async with load_on(platform.ingress_url, host=host) as loads:
        await asyncio.sleep(1)
        await second.start(api)

        async def is_dropped() -> bool:
            return not await asyncio.to_thread(_containers_of, second.id)

        await eventually(is_dropped, seconds=60)
        await asyncio.sleep(1)
    assert loads[0].failures == []
    assert (await second.see(api)).state == "ready"
    await api.delete_service(service.id)


async def test_a_service_follows_its_labels_and_says_when_no_node_has_them(
    platform: Platform, api: Api, second: SecondNode
) -> None:
    service = await put_service(api, "picky", placement={"labels": {"disk": "ssd"}})
    refused = await deploy_site(api, service, await pack_site("on ssd"))
    assert refused.status == "Failed"
    assert "node second has no label disk, and disk=ssd is wanted" in (refused.reason or "")
    await api.label_node(second.id, {"disk": "ssd"})
    assert (await deploy_site(api, service, await pack_site("on ssd"))).status == "Healthy"
    host = await host_of(api, service)
    async with load_on(platform.ingress_url, second.ingress_url, host=host) as loads:
        await api.label_node(platform.node_id, {"disk": "ssd"})
        await api.label_node(second.id, {"disk": None})

        async def has_moved() -> bool:
            here, there = await placed(api, platform.node_id, service), await placed(api, second.id, service)
            return (here, there) == (["healthy"], [])

        await eventually(has_moved, seconds=60)
        await asyncio.sleep(1)
    assert [load.failures for load in loads] == [[], []]
    await api.label_node(platform.node_id, {"disk": None})
    await api.delete_service(service.id)


def _containers_of(node_id: str) -> str:
    return docker("ps", "-aq", "--filter", f"label=moorage.node={node_id}").strip()


async def _next_event(stream: aiohttp.ClientResponse) -> str:
    async with asyncio.timeout(10):
        while not (line := (await stream.content.readline()).decode().strip()):
            pass
        return line
