"""An operator sees what a service says, what it uses and what it answered, with real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from client.api import Api
from kit.http.sse_parse import Event
from tests.e2e.platform import Platform, deploy_site, host_of, pack_site, put_service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_TALKATIVE = (
    '["/bin/sh", "-c", "echo first words; /bin/busybox httpd -p 8080 -h /www; '
    'n=0; while true; do echo line $n; n=$((n+1)); /bin/busybox sleep 0.2; done"]'
)


@pytest.fixture
async def session(platform: Platform) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {platform.token}"}
    async with aiohttp.ClientSession(platform.api_url, headers=headers) as session:
        yield session


async def _fetch(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def _take(api: Api, service_id: str, count: int, *, after: str | None = None) -> list[Event]:
    taken: list[Event] = []
    async with asyncio.timeout(30):
        async for event in api.follow_logs(service_id, after=after):
            if event.event == "message":
                taken.append(event)
            if len(taken) == count:
                break
    return taken


async def test_logs_metrics_and_requests_of_a_running_service(
    platform: Platform, api: Api, session: aiohttp.ClientSession
) -> None:
    service = await put_service(api, "talkative")
    deployment = await deploy_site(api, service, await pack_site("hello", command=_TALKATIVE))
    assert deployment.status == "Healthy", deployment.reason
    path = f"/v1/services/{service.id}"

    assert (await _fetch(session, f"{path}/logs"))[0] == "first words"

    events = await _take(api, service.id, 5)
    assert all(event.id for event in events)
    resumed = await _take(api, service.id, 5, after=events[-1].id)
    numbers = [int(event.data.removeprefix("line ")) for event in [*events[1:], *resumed]]
    assert numbers == list(range(9))

    [metrics] = await _fetch(session, f"{path}/metrics")
    assert metrics["cpu_usage_usec"] > 0
    assert 0 < metrics["memory_current_bytes"] < metrics["memory_limit_bytes"]
    assert [replica["index"] for replica in metrics["replicas"]] == [0]

    headers = {"Host": await host_of(api, service)}
    async with aiohttp.ClientSession() as world:
        for asked in ("/?q=secret", "/0190aaaa-0000-7000-8000-000000000000"):
            async with world.get(platform.ingress_url + asked, headers=headers) as answer:
                await answer.read()

    async def are_told() -> bool:
        told = await _fetch(session, f"{path}/requests")
        return [(entry["path"], entry["status"]) for entry in told] == [("/{id}", 404), ("/", 200)]

    await eventually(are_told, seconds=10)


async def test_the_node_tells_its_own_numbers(api: Api, session: aiohttp.ClientSession) -> None:
    node = await _fetch(session, "/v1/node")
    assert node["memory_total_bytes"] > node["memory_available_bytes"] > 0
    assert (await api.list_nodes())[0].heard_at is not None
