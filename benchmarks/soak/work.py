"""What a platform goes through in one cycle of the soak."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp

from client.api import Api
from client.faults import Unreachable
from client.messages import Service
from tests.consoles import Place
from tests.e2e.platform import Platform, begin_deployment, deploy_site, host_of, pack_site, put_service
from tests.ugly_consoles import WAYS, open_and_drop, settle_down
from tests.ugly_viewers import watch_and_drop
from tests.waiting import eventually

T = TypeVar("T")

_TALKATIVE: Final = (
    '["/bin/sh", "-c", "busybox httpd -p 8080 -h /www; i=0; while true; do i=$((i+1)); echo line $i; '
    'busybox usleep 50000; done"]'
)
_END_SECONDS: Final = 180.0
_VIEWERS: Final = 20
_REPLICAS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """Two services of one platform, one that is left alone and one that is worn, and a job."""

    platform: Platform
    worn: Service
    job_id: str
    hosts: Sequence[str]
    """Hostnames of both services."""

    async def wear(self, number: int, *, kill: str | None) -> None:
        """One cycle: deploy (and kill a daemon meanwhile), look and type and vanish, scale, run the job, go back."""
        async with self.platform.api() as api:
            await self._upload(api, number, kill=kill)
            await asyncio.gather(self._look(), self._type(), self._scale(api), self._run_job(api))
            before = [one for one in await api.list_deployments(self.worn.id) if one.status == "Inactive"]
            artifact = next((one.artifact for one in before if one.artifact is not None), None)
            again = {"source": "redeploy", "service_id": self.worn.id}
            if artifact is not None:
                again["artifact_id"] = artifact.id
            await _await_healthy(api, (await api.deploy(again)).id)

    async def _upload(self, api: Api, number: int, *, kill: str | None) -> None:
        deployment = await begin_deployment(api, self.worn, await pack_site(f"worn {number}", command=_TALKATIVE))
        if kill is not None:
            await self.platform.await_back(kill, await self.platform.kill(kill))
            await self.platform.await_ready()
        await _await_healthy(api, deployment.id)

    async def _look(self) -> None:
        await watch_and_drop(self._place(), count=_VIEWERS)

    async def _type(self) -> None:
        async with aiohttp.ClientSession() as http:
            await open_and_drop(http, self._place(), count=len(WAYS))
            await settle_down(http, self._place())

    async def _scale(self, api: Api) -> None:
        for count in (_REPLICAS, 1):
            await put_service(api, self.worn.name, replicas=count)

            async def is_so(count: int = count) -> bool:
                (load,) = [one for one in await api.list_workloads() if one.service_id == self.worn.id]
                return load.replica_count == load.healthy_replicas == count

            await _await(is_so)

    async def _run_job(self, api: Api) -> None:
        run = await api.run_job(self.job_id)
        ended = await _await(
            lambda: api.get_job_run(run.job_id, run.id), met=lambda seen: seen.status in {"succeeded", "failed"}
        )
        assert ended.status == "succeeded", ended.reason

    def _place(self) -> Place:
        return Place(self.platform.api_url, self.platform.token, self.worn.id)


async def lay_out(platform: Platform, *, image: str) -> Yard:
    """Deploy both services and make the job."""
    async with platform.api() as api:
        services: list[Service] = []
        for name in ("left-alone", "worn"):
            service = await put_service(api, name)
            deployed = await deploy_site(api, service, await pack_site(name, command=_TALKATIVE))
            assert deployed.status == "Healthy", deployed.reason
            services.append(service)
        job = await api.create_job(
            {
                "project_id": next(one.id for one in await api.list_projects() if one.name == "default"),
                "name": "soaked",
                "source": {"type": "external_image", "image": image},
                "command": ["/bin/sh", "-c", "echo done"],
                "resource_limits": {"cpu_millis": 500, "memory_bytes": 64 * 1024 * 1024},
            }
        )
        hosts = [await host_of(api, service) for service in services]
        return Yard(platform=platform, worn=services[-1], job_id=job.id, hosts=hosts)


async def _await_healthy(api: Api, deployment_id: str) -> None:
    ended = await _await(
        lambda: api.get_deployment(deployment_id),
        met=lambda seen: seen.status not in {"Pending", "Building", "Starting"},
    )
    assert ended.status == "Healthy", ended.reason


async def _await(look: Callable[[], Awaitable[T]], *, met: Callable[[T], bool] = bool) -> T:
    """What `look` gives once `met` holds; a controld that is away for a moment is asked again."""

    async def ask() -> T | None:
        try:
            return await look()
        except Unreachable:
            return None

    seen = await eventually(ask, met=lambda found: found is not None and met(found), seconds=_END_SECONDS)
    assert seen is not None
    return seen
