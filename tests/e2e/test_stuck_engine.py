"""One call that the engine never answers: the node goes on, says so, and makes everything good once it is answered."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from client.api import Api
from client.messages import Service
from tests.consoles import Place, seated
from tests.e2e.platform import (
    Platform,
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
from tests.fakes.stuck_engine import StuckEngine
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_ENGINE = Path("/var/run/docker.sock")
_SILENT = ("has not answered for", "no answer within")


@pytest.fixture(scope="module")
def platform(docker_engine: object) -> Iterator[Platform]:
    """A platform of its own, whose agent reaches the engine by a socket that a test may hold."""
    del docker_engine
    with tempfile.TemporaryDirectory(prefix="ms") as folder:
        state = Path(folder) / "state"
        settings = {
            "beat_seconds": "1",
            "agent_engine_seconds": "3",
            "agent_docker_socket": str(Path(folder) / "engine.sock"),
        }
        try:
            yield open_platform(state, run_up(state, "--no-example", **settings))
        finally:
            for log in sorted((state / "logs").glob("*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")
            run_down(state, "--purge")


async def _fetch(platform: Platform, path: str, *, seconds: float = 10) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {platform.token}"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds), headers=headers) as session:
        async with session.get(platform.api_url + path) as answer:
            return answer.status, await answer.json()


async def _tell_node(platform: Platform) -> dict[str, Any]:
    status, node = await _fetch(platform, f"/v1/nodes/{platform.node_id}")
    assert status == 200
    told: dict[str, Any] = node
    return told


async def _settle(api: Api, service: Service, count: int) -> None:
    """Wait until so many replicas of the service run, healthy, and the engine answers."""

    async def look() -> bool:
        (workload,) = [one for one in await api.list_workloads() if one.service_id == service.id]
        return workload.replica_count == workload.healthy_replicas == count

    await eventually(look, seconds=60)


async def _await_converged(platform: Platform) -> None:
    node = await eventually(
        lambda: _tell_node(platform), met=lambda seen: seen["converged"] and seen["engine"]["ok"], seconds=60
    )
    assert not any(replica["reason"] for replica in node["replicas"]), node["replicas"]


async def _await_beats(platform: Platform) -> None:
    """Wait until the node was heard three times more; never late, never not ready."""
    heard: set[str] = set()
    for _ in range(100):
        node = await _tell_node(platform)
        assert node["state"] == "ready"
        heard.add(node["heard_at"])
        if len(heard) == 4:
            break
        await asyncio.sleep(0.1)
    newest = max(dt.datetime.fromisoformat(at) for at in heard)
    assert len(heard) == 4, f"last heard {newest}"


async def _await_said(platform: Platform) -> None:
    """Wait until the node, or one of its replicas, says what it waits for; a stop waits for its grace of 10 s first."""

    def is_said(node: dict[str, Any]) -> bool:
        said = [node["engine"]["detail"], *(replica["reason"] or "" for replica in node["replicas"])]
        return any(word in each for each in said for word in _SILENT)

    await eventually(lambda: _tell_node(platform), met=is_said, seconds=30)


async def _deployed(api: Api, name: str, *, replicas: int) -> tuple[Service, str]:
    service = await put_service(api, name, replicas=replicas)
    ended = await deploy_site(api, service, await pack_site(f"this is {name}"))
    assert ended.status == "Healthy", ended.reason
    return service, await host_of(api, service)


@pytest.mark.parametrize(
    ("name", "held", "before", "after"),
    [
        ("list", "GET /containers/json", 1, 2),
        ("inspect", "GET /containers/[^/]+/json", 1, 2),
        ("create", "POST /containers/create", 1, 2),
        ("start", "POST /containers/[^/]+/start", 1, 2),
        ("stop", "POST /containers/[^/]+/stop", 2, 1),
        ("remove", "DELETE /containers/[^/]+", 2, 1),
        ("image", "GET /images/.*/json", 1, 2),
    ],
)
async def test_a_call_without_an_answer_holds_up_nothing_else_and_is_told(
    platform: Platform, name: str, held: str, before: int, after: int
) -> None:
    engine = StuckEngine(platform.places.state.parent / "engine.sock", engine=_ENGINE)
    async with engine.serve(), platform.api() as api:
        service, host = await _deployed(api, f"no-{name}", replicas=before)
        await _settle(api, service, before)
        async with steady_load(platform.ingress_url, host, per_second=20) as load:
            engine.hold(held)
            await put_service(api, service.name, replicas=after)
            await eventually(_counted(engine), seconds=30)
            await _await_beats(platform)
            status, _ = await _fetch(platform, f"/v1/nodes/{platform.node_id}/metrics")
            assert status == 200
            if name not in {"list", "inspect"}:
                status, _ = await _fetch(platform, f"/v1/services/{service.id}/logs")
                assert status == 200
            await _await_said(platform)
            engine.let_go()
            await _settle(api, service, after)
            await _await_converged(platform)
        assert load.failures == []
        await api.delete_service(service.id)


@pytest.mark.parametrize("name", ["exec", "pull"])
async def test_what_only_one_replica_or_person_waits_for_holds_up_nobody_else(platform: Platform, name: str) -> None:
    engine = StuckEngine(platform.places.state.parent / "engine.sock", engine=_ENGINE)
    async with engine.serve(), platform.api() as api, aiohttp.ClientSession() as http:
        service, _ = await _deployed(api, f"no-{name}", replicas=1)
        other, _ = await _deployed(api, f"beside-{name}", replicas=1)
        place = Place(platform.api_url, platform.token, service.id)
        waiting: asyncio.Task[None] | None = None
        if name == "exec":
            engine.hold("POST /containers/[^/]+/exec")
            waiting = asyncio.create_task(_sit_down(http, place))
        else:
            await asyncio.to_thread(_forget_image, service)
            engine.hold("POST /images/create")
            await put_service(api, service.name, replicas=2)
        await eventually(_counted(engine), seconds=30)
        await put_service(api, other.name, replicas=2)
        await _settle(api, other, 2)
        await _await_beats(platform)
        node = await _tell_node(platform)
        assert node["engine"]["ok"]
        if waiting is not None:
            async with asyncio.timeout(30):
                await asyncio.wait([waiting])
            assert waiting.exception() is not None or waiting.result() != (200, []), (
                "it ends, and not as if all was well"
            )
        engine.let_go()
        await _settle(api, service, 2 if name == "pull" else 1)
        await _await_converged(platform)
        status, _ = await _fetch(platform, f"/v1/services/{service.id}/logs")
        assert status == 200
        await _sit_down(http, place)
        for each in (service, other):
            await api.delete_service(each.id)


async def test_a_stream_of_events_that_has_died_is_made_up_for(platform: Platform) -> None:
    engine = StuckEngine(platform.places.state.parent / "engine.sock", engine=_ENGINE)
    async with engine.serve(), platform.api() as api:
        service, _ = await _deployed(api, "unheard", replicas=1)
        await _await_converged(platform)
        engine.mute("GET /events")
        await put_service(api, service.name, replicas=2)
        await _settle(api, service, 2)
        stopped = (await asyncio.to_thread(_list_containers, service))[0]
        await asyncio.to_thread(docker, "stop", "-t", "0", stopped)

        async def is_running_again() -> bool:
            return stopped in await asyncio.to_thread(_list_containers, service)

        await eventually(is_running_again, seconds=60)
        await _settle(api, service, 2)
        await api.delete_service(service.id)


async def _sit_down(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place):
        pass


def _list_containers(service: Service) -> list[str]:
    """Containers of the service that run."""
    return docker("ps", "-q", "--no-trunc", "--filter", f"label=moorage.service={service.id}").split()


def _forget_image(service: Service) -> None:
    (container,) = _list_containers(service)
    docker("rmi", "-f", docker("inspect", "-f", "{{.Config.Image}}", container).strip())


def _counted(engine: StuckEngine) -> Any:
    async def look() -> int:
        return engine.held

    return look
