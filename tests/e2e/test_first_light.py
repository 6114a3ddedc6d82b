"""From a working tree to a running, reachable, observable service, with real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from client.api import Api
from client.faults import Refused
from tests.e2e.platform import (
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
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


async def _get(platform: Platform, host: str, path: str = "/") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(platform.ingress_url + path, headers={"Host": host}) as answer,
    ):
        return answer.status, await answer.text()


async def test_the_host_decides_which_service_answers_and_an_unknown_one_gets_404(platform: Platform, api: Api) -> None:
    hosts = {}
    for name in ("first", "second"):
        service = await put_service(api, name)
        deployment = await deploy_site(api, service, await pack_site(f"I am {name}"))
        assert deployment.status == "Healthy", deployment.reason
        hosts[name] = await host_of(api, service)
    assert await _get(platform, hosts["first"]) == (200, "I am first")
    assert await _get(platform, hosts["second"].upper() + ":80") == (200, "I am second")
    assert (await _get(platform, "nobody.example.com"))[0] == 404


async def test_a_new_release_costs_no_request_and_cuts_no_stream(platform: Platform, api: Api) -> None:
    service = await put_service(api, "rolling")
    assert (await deploy_site(api, service, await pack_site("release 1"))).status == "Healthy"
    host = await host_of(api, service)
    async with aiohttp.ClientSession() as session:
        stream = await session.get(platform.ingress_url + "/cgi-bin/ticks", headers={"Host": host})
        async with steady_load(platform.ingress_url, host, per_second=200, fresh=True) as load:
            await asyncio.sleep(0.5)
            ended = await deploy_site(api, service, await pack_site("release 2"))
            await asyncio.sleep(1)
        assert ended.status == "Healthy", ended.reason
        assert load.failures == []
        assert set(load.bodies) == {"release 1", "release 2"}
        before = int((await _next_event(stream)).removeprefix("data: "))
        assert int((await _next_event(stream)).removeprefix("data: ")) == before + 1
        stream.close()
    assert await _get(platform, host) == (200, "release 2")

    async def is_drained() -> bool:
        return len(await platform.containers(service_id=service.id)) == 1

    await eventually(is_drained, seconds=30)


async def _next_event(stream: aiohttp.ClientResponse) -> str:
    async with asyncio.timeout(5):
        while not (line := (await stream.content.readline()).decode().strip()):
            pass
        return line


@pytest.mark.parametrize(
    ("name", "changes", "command", "words"),
    [
        ("silent", {"internal_port": 8081}, None, ("8081",)),
        ("exits", {}, '["/bin/sh", "-c", "echo about to fail; exit 7"]', ("7", "about to fail")),
        ("absent", {}, '["/bin/nosuch"]', ("nosuch",)),
        ("unhealthy", {"health_check": {"path": "/nosuch", "timeout_seconds": 1}}, None, ("404",)),
        ("mute", {}, '["/bin/busybox", "nc", "-ll", "-p", "8080", "-e", "/bin/busybox", "sleep", "600"]', ("answer",)),
    ],
)
async def test_a_failed_gate_leaves_the_old_release_serving_and_says_why(
    platform: Platform, api: Api, *, name: str, changes: dict[str, object], command: str | None, words: tuple[str, ...]
) -> None:
    service = await put_service(api, name)
    assert (await deploy_site(api, service, await pack_site("good"))).status == "Healthy"
    host = await host_of(api, service)
    await put_service(api, name, **changes)
    async with steady_load(platform.ingress_url, host, per_second=50) as load:
        ended = await deploy_site(api, service, await pack_site("bad", command=command))
        await asyncio.sleep(1)
    assert ended.status == "Failed"
    log = [event.data async for event in api.follow_deployment(ended.id)]
    told = "\n".join([ended.reason or "", *log])
    for word in words:
        assert word in told
    assert any(" ERROR " in line for line in log)
    assert load.failures == []
    assert set(load.bodies) == {"good"}


async def test_two_deployments_at_once_are_ordered_and_the_later_one_wins(platform: Platform, api: Api) -> None:

    service = await put_service(api, "twice")
    first = await begin_deployment(api, service, await pack_site("first"))
    second = await begin_deployment(api, service, await pack_site("second"))
    ends = [await await_end(api, one.id) for one in (second, first)]
    assert ends[0].status == "Healthy", ends[0].reason
    assert ends[1].status == "Inactive"
    assert await _get(platform, await host_of(api, service)) == (200, "second")


async def test_an_image_that_does_not_exist_fails_with_a_reason(api: Api) -> None:
    service = await put_service(
        api, "imageless", source={"type": "external_image", "image": "registry.invalid/no/such:1"}
    )

    deployment = await api.deploy(
        {"source": "external_image", "service_id": service.id, "image": "registry.invalid/no/such:1"}
    )
    ended = await await_end(api, deployment.id)
    assert ended.status == "Failed"
    assert "registry.invalid/no/such" in (ended.reason or "")


async def test_a_local_image_is_deployed_and_redeployed(platform: Platform, api: Api, busybox_image: str) -> None:

    tag = "moorage-e2e-site:1"
    container = docker("create", busybox_image, "/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/").strip()
    docker("commit", container, tag)
    docker("rm", container)
    try:
        service = await put_service(
            api,
            "local-image",
            source={"type": "external_image", "image": tag},
            health_check={"path": "/bin/busybox", "timeout_seconds": 2},
        )
        ends = []
        for request in ({"source": "external_image", "image": tag}, {"source": "redeploy"}):
            deployment = await api.deploy(request | {"service_id": service.id})
            ends.append(await await_end(api, deployment.id))
        assert [end.status for end in ends] == ["Healthy", "Healthy"], [end.reason for end in ends]
        assert (await _get(platform, await host_of(api, service), "/nosuch"))[0] == 404
    finally:
        docker("rmi", "-f", tag)


async def test_a_deleted_service_leaves_no_container_route_or_hostname(platform: Platform, api: Api) -> None:
    service = await put_service(api, "fleeting")
    assert (await deploy_site(api, service, await pack_site("soon gone"))).status == "Healthy"
    host = await host_of(api, service)
    await api.delete_service(service.id)

    async def is_gone() -> bool:
        left = await platform.containers(service_id=service.id)
        return not left and (await _get(platform, host))[0] == 404

    await eventually(is_gone, seconds=60)
    with pytest.raises(Refused) as caught:
        await api.list_domains(service.id)
    assert caught.value.remote_status == 404
    again = await put_service(api, "fleeting")
    assert await host_of(api, again) == host
    await api.delete_service(again.id)


async def test_platforms_that_are_started_at_once_stand_side_by_side(tmp_path: Path, docker_engine: object) -> None:
    del docker_engine
    states = [tmp_path / name for name in ("one", "other")]
    try:
        ups = await asyncio.gather(*(asyncio.to_thread(run_up, state, "--no-example") for state in states))
        assert len({up["node_id"] for up in ups}) == 2
        assert len({up["api_url"] for up in ups}) == 2
    finally:
        for state in states:
            await asyncio.to_thread(run_down, state, "--purge")


async def test_up_deploys_the_example_again_changes_nothing_and_down_purges_it(
    tmp_path: Path, docker_engine: object
) -> None:
    del docker_engine
    state = tmp_path / "state"
    try:
        up = await asyncio.to_thread(run_up, state)
        platform = open_platform(state, up)
        containers = await platform.containers()
        assert len(containers) == 1
        url = up["example"]["url"]
        host = url.split("/")[2].split(":")[0]
        status, body = await _get(platform, host)
        assert (status, "It floats." in body) == (200, True)
        again = await asyncio.to_thread(run_up, state)
        assert again == up
        assert await platform.containers() == containers
        await asyncio.to_thread(run_down, state)
        assert await asyncio.to_thread(run_up, state) == up
        assert (await _get(platform, host))[0] == 200
        assert set(await platform.containers()) == set(containers)
    finally:
        await asyncio.to_thread(run_down, state, "--purge")
    assert await platform.containers() == {}
    assert not state.exists()
