"""Killed daemons cost no request and no container, and come back by themselves to the same state."""

from __future__ import annotations

import asyncio

import pytest

from client.api import Api
from tests.e2e.platform import (
    Platform,
    await_end,
    begin_deployment,
    deploy_site,
    host_of,
    pack_site,
    put_service,
    steady_load,
)
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


async def _deployed(api: Api, name: str) -> tuple[str, str]:
    service = await put_service(api, name)
    deployment = await deploy_site(api, service, await pack_site(f"this is {name}"))
    assert deployment.status == "Healthy", deployment.reason
    return service.id, await host_of(api, service)


@pytest.mark.parametrize("killed", [("controld",), ("agent",), ("controld", "agent")])
async def test_killing_our_daemons_costs_no_request_and_no_container(
    platform: Platform, api: Api, killed: tuple[str, ...]
) -> None:
    name = "kill-" + "-".join(killed)
    service_id, host = await _deployed(api, name)
    before = await platform.containers(service_id=service_id)
    async with steady_load(platform.ingress_url, host, per_second=200, fresh=True) as load:
        await asyncio.sleep(1)
        pids = {program: await platform.kill(program) for program in killed}
        for program, pid in pids.items():
            await platform.await_back(program, pid)
        await platform.await_ready()
        await asyncio.sleep(1)
    assert load.failures == []
    assert load.sent > 300
    assert await platform.containers(service_id=service_id) == before
    service = await put_service(api, name)
    again = await deploy_site(api, service, await pack_site("second"))
    assert again.status == "Healthy", again.reason


async def test_a_killed_proxy_comes_back_with_the_same_routes(platform: Platform, api: Api) -> None:
    service_id, host = await _deployed(api, "kill-proxy")
    before = await platform.containers(service_id=service_id)
    pid = await platform.kill("haproxy")
    await platform.await_back("haproxy", pid)
    async with steady_load(platform.ingress_url, host) as warm:

        async def answers() -> bool:
            return "this is kill-proxy" in warm.bodies

        await eventually(answers, seconds=20)
    async with steady_load(platform.ingress_url, host) as load:
        await asyncio.sleep(2)
    assert load.failures == []
    assert await platform.containers(service_id=service_id) == before


@pytest.mark.parametrize(("phase", "earlier"), [("Building", {"Pending"}), ("Starting", {"Pending", "Building"})])
async def test_a_deployment_survives_the_death_of_both_daemons_in_any_phase(
    platform: Platform, api: Api, *, phase: str, earlier: set[str]
) -> None:

    service = await put_service(api, f"phase-{phase.lower()}")
    deployment = await begin_deployment(api, service, await pack_site("through the storm"))

    async def has_begun() -> bool:
        return (await api.get_deployment(deployment.id)).status not in earlier

    await eventually(has_begun, seconds=60)
    pids = {program: await platform.kill(program) for program in ("controld", "agent")}
    for program, pid in pids.items():
        await platform.await_back(program, pid)
    await platform.await_ready()
    ended = await await_end(api, deployment.id)
    assert ended.status == "Healthy", ended.reason
