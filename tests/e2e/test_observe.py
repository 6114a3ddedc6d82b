"""Logs, readings and requests of a running service as a client of `/v1` sees them, while daemons are killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from client.api import Api
from kit.http.sse_parse import EventParser
from tests.e2e.platform import Platform, deploy_site, host_of, pack_site, put_service

pytestmark = pytest.mark.timeout(300)

_COUNT = '["/bin/sh", "-c", "busybox httpd -p 8080 -h /www; i=0; while true; do i=$((i+1)); echo $i; busybox usleep 20000; done"]'  # noqa: E501


async def _lines(platform: Platform, path: str, headers: dict[str, str]) -> AsyncIterator[tuple[str, str]]:
    """Ids and data of the stream's lines until it breaks."""
    parser = EventParser()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=20)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            async with session.get(platform.api_url + path, headers=headers) as answer:
                if answer.status != 200:
                    return
                async for chunk in answer.content.iter_any():
                    for event in parser.feed(chunk):
                        if event.event == "message":
                            yield event.id, event.data
        except aiohttp.ClientError:
            return


async def test_a_log_is_followed_exactly_while_agent_and_controld_are_killed(platform: Platform, api: Api) -> None:
    service = await put_service(api, "counting")
    ended = await deploy_site(api, service, await pack_site("counting", command=_COUNT))
    assert ended.status == "Healthy", ended.reason
    path, headers = f"/v1/services/{service.id}/logs/stream?tail=5", {"Authorization": f"Bearer {platform.token}"}
    seen: list[int] = []
    killed: dict[str, int] = {}
    async with asyncio.timeout(90):
        while len(seen) < 600:
            async for id_, data in _lines(platform, path, headers):
                headers["Last-Event-ID"] = id_
                seen.append(int(data))
                if len(seen) == 150:
                    killed["agent"] = await platform.kill("agent")
                if len(seen) == 350:
                    killed["controld"] = await platform.kill("controld")
                if len(seen) == 600:
                    break
            else:
                await asyncio.sleep(0.2)
    assert seen == list(range(seen[0], seen[0] + 600))
    for program, pid in killed.items():
        await platform.await_back(program, pid)


async def test_readings_requests_and_recent_lines_are_told(platform: Platform, api: Api) -> None:
    service = await put_service(api, "observed")
    ended = await deploy_site(api, service, await pack_site("observed", command=_COUNT))
    assert ended.status == "Healthy", ended.reason
    host = await host_of(api, service)
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"{platform.ingress_url}/?secret=1", headers={"Host": host}) as answer:
                assert answer.status == 200

        async def fetch(rest: str) -> Any:
            headers = {"Authorization": f"Bearer {platform.token}"}
            async with session.get(f"{platform.api_url}/v1/services/{service.id}/{rest}", headers=headers) as answer:
                assert answer.status == 200
                return await answer.json()

        (reading,) = await fetch("metrics")
        async with asyncio.timeout(10):
            while True:
                requests = await fetch("requests")
                if len(requests) == 3:
                    break
                await asyncio.sleep(0.1)
        lines = await fetch("logs")
    assert reading["cpu_usage_usec"] > 0
    assert 0 < reading["memory_current_bytes"] <= reading["memory_limit_bytes"] == 64 * 1024 * 1024
    assert [replica["index"] for replica in reading["replicas"]] == [0]
    assert reading["replicas"][0]["cpu_source"] in {"cgroup1", "cgroup2"}
    assert {(one["method"], one["path"], one["status"]) for one in requests} == {("GET", "/", 200)}
    assert 0 < len(lines) <= 200
    assert [int(line) for line in lines] == list(range(int(lines[0]), int(lines[0]) + len(lines)))


async def test_the_past_of_a_service_and_of_its_node_is_told(platform: Platform, api: Api) -> None:
    service = await put_service(api, "remembered")
    ended = await deploy_site(api, service, await pack_site("remembered", command=_COUNT))
    assert ended.status == "Healthy", ended.reason
    headers = {"Authorization": f"Bearer {platform.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def fetch(path: str) -> Any:
            async with session.get(f"{platform.api_url}{path}?step=10") as answer:
                assert answer.status == 200
                return await answer.json()

        async with asyncio.timeout(60):
            while True:
                past = await fetch(f"/v1/services/{service.id}/metrics")
                points = [point for replica in past["replicas"] for point in replica["points"]]
                if any(point["cpu_millis"] for point in points):
                    break
                await asyncio.sleep(1)
        node = await fetch(f"/v1/nodes/{platform.node_id}/metrics")

    assert past["unreachable"] == node["unreachable"] == []
    assert any(point["memory_bytes"] for point in points)
    assert any(point["network_received_bytes_per_second"] is not None for point in points)
    assert any(point["cpu_millis"] for point in node["points"])
