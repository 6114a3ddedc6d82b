"""A service follows its load on real containers, up and down, and no request is lost."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from client.api import Api
from client.messages import Service, Workload
from tests.e2e.platform import Load, Platform, deploy_site, host_of, pack_site, put_service, steady_load
from tests.e2e.second_node import second_node
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(400)

_POLICY = {
    "min_replicas": 1,
    "max_replicas": 3,
    "target_cpu_pct": 60,
    "scale_down_cooldown_s": 6,
    "idle_timeout_s": 6,
}
_SLEEPY = {**_POLICY, "min_replicas": 0, "scale_down_cooldown_s": 0, "idle_timeout_s": 3}


@contextlib.asynccontextmanager
async def busy(platform: Platform, host: str, *, clients: int = 4) -> AsyncIterator[Load]:
    """Clients that each let the service compute, again and again, while the block runs."""
    load, over = Load(), asyncio.Event()
    timeout = aiohttp.ClientTimeout(total=60)

    async def compute(session: aiohttp.ClientSession) -> None:
        while not over.is_set():
            load.sent += 1
            try:
                async with session.get(platform.ingress_url + "/cgi-bin/burn", headers={"Host": host}) as answer:
                    if (answer.status, await answer.text()) != (200, "burnt"):
                        load.failures.append(f"status {answer.status}")
            except (aiohttp.ClientError, TimeoutError) as error:
                load.failures.append(repr(error))

    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(compute(session))
        try:
            yield load
        finally:
            over.set()


async def see(api: Api, service: Service) -> Workload:
    """The service as it runs."""
    return next(one for one in await api.list_workloads() if one.service_id == service.id)


async def test_load_brings_replicas_and_quiet_takes_them_back_without_a_lost_request(
    platform: Platform, api: Api
) -> None:
    limits = {"cpu_millis": 200, "memory_bytes": 64 * 1024 * 1024}
    service = await put_service(api, "elastic", autoscale=_POLICY, resource_limits=limits)
    assert (await deploy_site(api, service, await pack_site("elastic"))).status == "Healthy"
    host = await host_of(api, service)

    async def has_grown() -> bool:
        workload = await see(api, service)
        return workload.healthy_replicas == workload.wanted_replicas >= 2

    async def has_shrunk() -> bool:
        workload = await see(api, service)
        return (
            workload.wanted_replicas
            == workload.replica_count
            == 1
            == len(await platform.containers(service_id=service.id))
        )

    async with steady_load(platform.ingress_url, host, per_second=5, fresh=True) as steady:
        async with busy(platform, host) as burst:
            await eventually(has_grown, seconds=120)
            count = (await see(api, service)).wanted_replicas
            await platform.await_back("controld", await platform.kill("controld"))

            async def answers() -> bool:
                with contextlib.suppress(Exception):
                    return (await see(api, service)).wanted_replicas >= count
                return False

            await eventually(answers, seconds=60)
        await eventually(has_shrunk, seconds=120)
    assert burst.failures == steady.failures == []
    assert burst.sent > 20
    assert steady.bodies.keys() == {"elastic"}
    workload = await see(api, service)
    assert workload.problem is None
    records = await api.list_audit({"action": "service.scale", "object_id": service.id})
    changes = [(record.details["from"], record.details["to"]) for record in records][::-1]
    assert changes[0][0] == 1
    assert changes[0][1] >= 2
    assert changes[-1][1] == 1
    await api.delete_service(service.id)


async def ask(url: str, host: str) -> tuple[int, str]:
    """The status and the body of one request."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        async with session.get(url, headers={"Host": host}) as answer:
            return answer.status, await answer.text()


async def test_a_service_sleeps_when_nobody_asks_and_those_who_do_wait_until_it_is_awake(
    platform: Platform, api: Api
) -> None:
    service = await put_service(api, "sleepy", autoscale=_SLEEPY)
    assert (await deploy_site(api, service, await pack_site("good morning"))).status == "Healthy"
    host = await host_of(api, service)

    async def sleeps() -> bool:
        workload = await see(api, service)
        return (
            workload.wanted_replicas
            == workload.replica_count
            == len(await platform.containers(service_id=service.id))
            == 0
        )

    await eventually(sleeps, seconds=60)
    answers = await asyncio.gather(*(ask(platform.ingress_url, host) for _ in range(20)))
    assert answers == [(200, "good morning")] * 20
    workload = await see(api, service)
    assert (workload.replica_count, workload.healthy_replicas) == (1, 1)
    await eventually(sleeps, seconds=60)
    await platform.await_back("agent", await platform.kill("agent"))

    async def answers_again() -> bool:
        return await ask(platform.ingress_url, host) == (200, "good morning")

    await eventually(answers_again, seconds=60)
    await api.delete_service(service.id)


async def test_a_service_is_woken_from_the_ingress_of_any_node(platform: Platform, api: Api) -> None:
    with tempfile.TemporaryDirectory(prefix="m2") as folder:
        async with second_node(platform, Path(folder)) as second:
            service = await put_service(api, "far", autoscale=_SLEEPY, placement={"nodes": ["second"]})
            assert (await deploy_site(api, service, await pack_site("far away"))).status == "Healthy"
            host = await host_of(api, service)
            for url in (platform.ingress_url, second.ingress_url):

                async def sleeps() -> bool:
                    return (await see(api, service)).replica_count == 0

                await eventually(sleeps, seconds=60)
                answers = await asyncio.gather(*(ask(url, host) for _ in range(10)))
                assert answers == [(200, "far away")] * 10
            await api.delete_service(service.id)
