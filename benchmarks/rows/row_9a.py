"""9a: an agent at rest: its memory with ten containers beside its imports and dockerd, its CPU with a hundred."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import Effort, Finding, Row
from benchmarks.measure import LOAD_CORE, process, read_cpu_seconds, read_rss_bytes, wait_until
from benchmarks.platforms import local_image, running_platform
from benchmarks.sweeps import find_engine
from client.api import Api
from tests.e2e.platform import Platform, await_end, docker, put_service
from tests.waiting import eventually

_SERVICES: Final = 10
_REPLICAS: Final = 10
_GROWN_SECONDS: Final = 400.0
_SETTLE_SECONDS: Final = 10.0
_MEGABYTE: Final = 1_000_000
_EVERY_SECOND: Final = {"MOORAGE_AGENT_SAMPLE_SECONDS": "1"}
_IMPORTS: Final = "import uvloop, aiohttp.web, msgspec, time; print('ready', flush=True); time.sleep(600)"
_LEAST_BYTES: Final = 20 * _MEGABYTE


def measure(effort: Effort) -> list[Finding]:
    """Deploy the services, wait until the agent is at rest, then read and compare."""
    services, seconds = effort.pick(_SERVICES, 1), effort.pick(60.0, 2.0)
    with local_image() as image, running_platform(_EVERY_SECOND) as platform:
        asyncio.run(_deploy_all(platform, image, services))
        watched = _count(platform)
        agent = platform.pid("agent")
        time.sleep(effort.pick(_SETTLE_SECONDS, 1.0))
        shares, agents, imports, engines = [], [], [], []
        for _ in range(effort.rounds):
            shares.append(_measure_share(agent, seconds=seconds / effort.rounds))
            agents.append(read_rss_bytes(agent) / _MEGABYTE)
            imports.append(_measure_imports() / _MEGABYTE)
            engines.append(read_rss_bytes(find_engine()) / _MEGABYTE)
        many = services * effort.pick(_REPLICAS, 2)
        asyncio.run(_grow_all(platform, image, services, replicas=many // services))
        wait_until(lambda: _count(platform) == many, what=f"{many} containers run", seconds=_GROWN_SECONDS)
        asyncio.run(_await_healthy(platform, many))
        time.sleep(effort.pick(_SETTLE_SECONDS, 1.0))
        grown = [_measure_share(agent, seconds=seconds / effort.rounds) for _ in range(effort.rounds)]
        grown_rss = read_rss_bytes(agent) / _MEGABYTE
        restarted = _measure_restarted(platform, seconds=effort.pick(_SETTLE_SECONDS, 3.0)) / _MEGABYTE
    rss = tuple(agents)
    return [
        Finding(
            goal=f"RSS with {watched} containers",
            limit=1.25,
            ours=rss,
            peer=tuple(imports),
            peer_name="`import uvloop, aiohttp.web, msgspec`",
            unit="MB",
        ),
        Finding(
            goal=f"RSS with {watched} containers",
            limit=0.6,
            ours=rss,
            peer=tuple(engines),
            peer_name="dockerd",
            unit="MB",
        ),
        Finding(
            goal=f"RSS with {many} containers once the agent was started again",
            limit=None,
            ours=(restarted,),
            peer=(statistics.median(imports),),
            peer_name="`import uvloop, aiohttp.web, msgspec`",
            unit="MB",
            note="it has found its containers and changed none: what it loads to change them is not in memory",
        ),
        Finding(
            goal=f"CPU at rest, one sweep a second, {watched} containers",
            limit=None,
            ours=tuple(shares),
            unit="% of a core",
        ),
        Finding(
            goal=f"CPU at rest, one sweep a second, {many} containers",
            limit=0.6,
            ours=tuple(grown),
            unit="% of a core",
            note=f"{seconds:g} s in {effort.rounds} parts; each container's health checks are part of it",
        ),
        Finding(goal=f"RSS with {many} containers", limit=None, ours=(grown_rss,), unit="MB"),
    ]


async def _deploy_all(platform: Platform, image: str, count: int) -> None:
    async with platform.api() as api:
        await asyncio.gather(*(_deploy(api, image, number) for number in range(count)))


async def _grow_all(platform: Platform, image: str, services: int, *, replicas: int) -> None:
    async with platform.api() as api:
        for number in range(services):
            await put_service(
                api, f"idle-{number}", **_limits(), source={"type": "external_image", "image": image}, replicas=replicas
            )


async def _await_healthy(platform: Platform, count: int) -> None:
    """Wait until every replica of the node is healthy, so that nothing is under way any more."""
    async with platform.api() as api:

        async def are_healthy() -> bool:
            return sum(one.healthy_replicas for one in await api.list_workloads()) >= count

        await eventually(are_healthy, seconds=_GROWN_SECONDS)


def _count(platform: Platform) -> int:
    return len(docker("ps", "-q", "--filter", f"label=moorage.node={platform.node_id}").split())


def _limits() -> dict[str, Any]:
    """So little that a hundred have room on two cores."""
    return {"resource_limits": {"cpu_millis": 100, "memory_bytes": 32 * 1024 * 1024}}


async def _deploy(api: Api, image: str, number: int) -> None:
    service = await put_service(api, f"idle-{number}", **_limits(), source={"type": "external_image", "image": image})
    deployment = await api.deploy({"source": "external_image", "service_id": service.id, "image": image})
    ended = await await_end(api, deployment.id)
    if ended.status != "Healthy":
        raise RuntimeError(f"a deployment is {ended.status}: {ended.reason}")


def _measure_restarted(platform: Platform, *, seconds: float) -> int:
    """Resident bytes of the next agent, so long after it took the place of one that was killed."""
    before = platform.pid("agent")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.pid("agent") not in {0, before}, what="the agent is back")
    time.sleep(seconds)
    return read_rss_bytes(platform.pid("agent"))


def _measure_share(pid: int, *, seconds: float) -> float:
    """Per cent of a core that the process used in so long."""
    before, started = read_cpu_seconds(pid), time.perf_counter()
    time.sleep(seconds)
    return (read_cpu_seconds(pid) - before) / (time.perf_counter() - started) * 100


def _measure_imports() -> int:
    """Resident bytes of a fresh interpreter that has the agent's three libraries and nothing else."""
    with process([sys.executable, "-c", _IMPORTS], core=LOAD_CORE) as pid:
        wait_until(lambda: _sleeps(pid) and read_rss_bytes(pid) > _LEAST_BYTES, what="the imports are done")
        return read_rss_bytes(pid)


def _sleeps(pid: int) -> bool:
    """Whether the process waits in its final sleep."""
    return "nanosleep" in Path(f"/proc/{pid}/wchan").read_text()


ROW = Row(
    id="9a",
    title="Idle agent: RSS at most 1.25x its imports and 0.6x dockerd with 10 containers, 0.6 % of a core with 100",
    recipe="ten services of one container each, then of ten, a sweep a second, `smaps_rollup` and `/proc/<pid>/stat`",
    measure=measure,
)
