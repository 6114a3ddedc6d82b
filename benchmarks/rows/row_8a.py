"""8a: a deployment of an image that is present, up to its first answer, beside `docker run` of the same image."""

from __future__ import annotations

import asyncio
import http.client
import time
from functools import partial
from typing import Final

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.platforms import local_image, running_platform
from tests.e2e.platform import Platform, await_end, docker, host_of, put_service
from tests.waiting import eventually

_PORT: Final = 8080
_LIMIT_SECONDS: Final = 60.0


def measure(effort: Effort) -> list[Finding]:
    """Deploy one service over and over, in turn with containers of plain Docker; each says its own host name."""
    with local_image() as image, running_platform() as platform:
        service_id, host = asyncio.run(_make_service(platform, image))
        found = interleave(
            {"ours": partial(_deploy, platform, service_id, host), "docker": partial(_run, image)},
            rounds=effort.rounds,
        )
    return [
        Finding(
            goal="time from the deployment's request to the new replica's first answer",
            limit=2.0,
            ours=tuple(found["ours"]),
            peer=tuple(found["docker"]),
            peer_name="`docker run -d` to first answer",
            unit="s",
            note="`POST /v1/deployments` of a redeploy; through the ingress, health gate and switch included",
        )
    ]


async def _make_service(platform: Platform, image: str) -> tuple[str, str]:
    async with platform.api() as api:
        service = await put_service(api, "deploys", source={"type": "external_image", "image": image})
        deployment = await api.deploy({"source": "external_image", "service_id": service.id, "image": image})
        ended = await await_end(api, deployment.id)
        if ended.status != "Healthy":
            raise RuntimeError(f"the first deployment is {ended.status}: {ended.reason}")
        return service.id, await host_of(api, service)


def _deploy(platform: Platform, service_id: str, host: str) -> float:
    before = _await_answer("127.0.0.1", platform.ports.http, host, other_than="")
    return asyncio.run(_deploy_once(platform, service_id, host, before=before))


async def _deploy_once(platform: Platform, service_id: str, host: str, *, before: str) -> float:
    async with platform.api() as api:
        await api.list_services()  # the connection is open before the clock starts
        started = time.perf_counter()
        deployment = await api.deploy({"source": "redeploy", "service_id": service_id})
        await asyncio.to_thread(_await_answer, "127.0.0.1", platform.ports.http, host, other_than=before)
        seconds = time.perf_counter() - started
        await await_end(api, deployment.id)

    async def is_alone() -> bool:
        return len(await platform.containers(service_id=service_id)) == 1

    await eventually(is_alone, seconds=_LIMIT_SECONDS)  # the next round starts when the old replica is gone
    return seconds


def _run(image: str) -> float:
    started = time.perf_counter()
    container = docker("run", "-d", image).strip()
    try:
        address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", container).strip()
        _await_answer(address, _PORT, address, other_than="")
        return time.perf_counter() - started
    finally:
        docker("rm", "-f", container)


def _await_answer(address: str, port: int, host: str, *, other_than: str) -> str:
    """What is answered at `/` once that is a 200 with other words than those; asked every 5 ms."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address, port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            words = response.read().decode().strip()
            if response.status == 200 and words and words != other_than:
                return words
        except OSError:
            pass  # nothing listens there yet
        finally:
            connection.close()
        time.sleep(0.005)
    raise TimeoutError(f"no answer of {host} at {address}:{port} in {_LIMIT_SECONDS:g} s")


ROW = Row(
    id="8a",
    title="Deploy of an image that is present to its answer through the ingress: at most 2x `docker run`",
    recipe="busybox httpd that answers its container's host name; asked every 5 ms",
    measure=measure,
)
