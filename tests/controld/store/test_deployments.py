"""Leases, numbers, logs and artifacts behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt

import pytest

from controld.model.artifact import Artifact, ArtifactKind, ImageSource
from controld.model.deployment import Deployment, ImageRequest, RedeployRequest, Status, UploadRequest
from controld.model.page import Page
from controld.model.replica import PlacedReplica
from controld.model.service import HealthCheck, Service, UploadSource
from controld.model.upload import Upload
from controld.store.artifacts import ArtifactStore
from controld.store.deployment_logs import DeploymentLogStore
from controld.store.deployments import DeploymentStore
from controld.store.engine import Database
from controld.store.launches import LaunchStore
from controld.store.nodes import NodeStore
from controld.store.projects import ProjectStore
from controld.store.replicas import LOGS_LAST, ReplicaStore
from controld.store.services import ServiceStore
from controld.store.uploads import UploadStore
from tests.controld.deploying import make_node
from tests.fakes.clock import FakeClock
from wire.spec import Health, Limits, Origin, Replica, Wanted

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=30)
SERVICE = "00000000-0000-7000-8000-000000000001"
NODE = "00000000-0000-7000-8000-000000000002"


@pytest.fixture
async def store(either_database: Database) -> Database:
    async with either_database.write() as tx:
        project = await ProjectStore().find(tx, "default")
        assert project is not None
        service = Service(
            id=SERVICE,
            project_id=project.id,
            name="web",
            domains=(),
            source=UploadSource(),
            internal_port=80,
            health_check=HealthCheck(path="/", timeout_seconds=3),
            resource_limits=None,
            env=(("A", "1"), ("A", "2")),
            tls_enabled=False,
            autoscale=None,
            endpoints=(),
            promoted_deployment_id=None,
            assigned_hostname=None,
            created_at=NOW,
            updated_at=NOW,
        )
        await ServiceStore().add(tx, service)
        await NodeStore().add(tx, make_node(NODE))
    return either_database


def make_deployment(number: int, **changes: object) -> Deployment:
    deployment = Deployment(
        id=f"00000000-0000-7000-8000-0000000001{number:02d}",
        service_id=SERVICE,
        number=number,
        request=ImageRequest(service_id=SERVICE, image="nginx"),
        status=Status.PENDING,
        created_at=NOW,
        phase_at=NOW,
    )
    return dataclasses.replace(deployment, **changes)  # type: ignore[arg-type]


def make_artifact(number: int) -> Artifact:
    return Artifact(
        id=f"00000000-0000-7000-8000-0000000002{number:02d}",
        service_id=SERVICE,
        digest=f"sha256:{number}",
        kind=ArtifactKind.OCI_IMAGE,
        source=ImageSource(image="nginx"),
        origin=Origin.EXTERNAL,
        image="nginx@sha256:0",
        node_id=None,
        size_bytes=2**40,
        created_at=NOW + dt.timedelta(seconds=number),
    )


async def test_each_kind_of_request_comes_back_as_it_was(store: Database) -> None:
    requests = (
        ImageRequest(service_id=SERVICE, image="nginx"),
        RedeployRequest(service_id=SERVICE),
        RedeployRequest(service_id=SERVICE, artifact_id="x"),
        UploadRequest(service_id=SERVICE, upload_id="u", dockerfile_path="D", context_path="."),
    )
    deployments = DeploymentStore()
    for number, request in enumerate(requests, 1):
        kept = make_deployment(number, request=request)
        async with store.write() as tx:
            assert await deployments.next_number(tx, SERVICE) == number
            await deployments.insert(tx, kept)
            assert await deployments.find(tx, kept.id) == kept
    async with store.read() as tx:
        assert [each.number for each in await deployments.list_unfinished(tx)] == [1, 2, 3, 4]
        assert [each.number for each, _ in await deployments.list_of_service(tx, SERVICE)] == [4, 3, 2, 1]
        for page, numbers in (
            (Page(limit=2), [4, 3, 2]),
            (Page(limit=2, before=make_deployment(3).id), [2, 1]),
            (Page(limit=2, before="x"), []),
        ):
            found = await deployments.list_of_service(tx, SERVICE, page=page)
            assert [each.number for each, _ in found] == numbers


async def test_of_those_who_claim_at_once_one_gets_the_lease(store: Database) -> None:
    deployments, kept = DeploymentStore(), make_deployment(1)
    async with store.write() as tx:
        await deployments.insert(tx, kept)

    async def claim(owner: str, now: dt.datetime) -> bool:
        async with store.write() as tx:
            return await deployments.claim(tx, kept.id, owner=owner, now=now, until=LATER) is not None

    claimed = await asyncio.gather(*(claim(f"o{number}", NOW) for number in range(8)))
    assert sum(claimed) == 1
    owner = f"o{claimed.index(True)}"
    assert not await claim("late", NOW + dt.timedelta(seconds=29))
    async with store.write() as tx:
        assert await deployments.renew(tx, kept.id, owner=owner, until=LATER) == kept
        assert await deployments.renew(tx, kept.id, owner="other", until=LATER) is None
        assert await deployments.change(tx, kept, owner=owner, status=Status.BUILDING.value)
        assert not await deployments.change(tx, kept, owner=owner, status=Status.BUILDING.value)
        building = await deployments.find(tx, kept.id)
        assert building is not None
        assert not await deployments.change(tx, building, owner="other", reason="x")
    assert await claim("next", LATER)


async def test_a_lease_outlives_no_wall_clock_that_jumps(store: Database) -> None:
    deployments, kept, clock = DeploymentStore(), make_deployment(1), FakeClock(NOW)
    async with store.write() as tx:
        await deployments.insert(tx, kept)

    async def claim(owner: str) -> bool:
        now = clock.now()
        async with store.write() as tx:
            until = now + dt.timedelta(seconds=30)
            return await deployments.claim(tx, kept.id, owner=owner, now=now, until=until) is not None

    clock.jump(86_400)
    assert await claim("holder")
    clock.jump(-20)
    assert not await claim("other, whose clock is a little behind")
    clock.jump(-86_380)
    assert await claim("next, after the clock was set right")
    clock.jump(86_400)
    assert await claim("one that thinks the lease has ended")
    async with store.write() as tx:
        assert not await deployments.change(tx, kept, owner="holder", status=Status.BUILDING.value)


async def test_the_first_to_cancel_gives_the_reason_and_what_has_ended_cannot_be_cancelled(store: Database) -> None:
    deployments = DeploymentStore()
    running, ended = make_deployment(1), make_deployment(2, status=Status.HEALTHY)
    async with store.write() as tx:
        await deployments.insert(tx, running)
        await deployments.insert(tx, ended)
        assert await deployments.request_cancel(tx, running.id, at=NOW, reason="first")
        assert await deployments.request_cancel(tx, running.id, at=LATER, reason="second")
        assert not await deployments.request_cancel(tx, ended.id, at=NOW, reason="late")
        found = await deployments.find(tx, running.id)
        assert found is not None
        assert (found.cancel_requested_at, found.reason) == (NOW, "first")
        await deployments.retire(tx, SERVICE, status=Status.INACTIVE, but=ended.id)
        assert (await deployments.find(tx, ended.id)) == ended
        await deployments.retire(tx, SERVICE, status=Status.INACTIVE)
        assert (await deployments.find(tx, ended.id)) == dataclasses.replace(ended, status=Status.INACTIVE)


async def test_lines_that_are_written_at_once_are_counted_without_gaps(store: Database) -> None:
    logs, kept = DeploymentLogStore(), make_deployment(1)
    async with store.write() as tx:
        await DeploymentStore().insert(tx, kept)

    async def write(number: int) -> None:
        async with store.write() as tx:
            await logs.append(tx, kept.id, at=NOW, phase="BUILDING", texts=[f"{number}", "äö"])

    await asyncio.gather(*(write(number) for number in range(10)))
    async with store.write() as tx:
        await logs.append(tx, kept.id, at=NOW, phase="START", texts=["again"])
        await logs.append(tx, kept.id, at=NOW, phase="BUILDING", texts=["x"])
        assert [line.seq for line in await logs.read(tx, kept.id, after=0, limit=100)] == list(range(1, 23))
        assert [line.text for line in await logs.read(tx, kept.id, after=20, limit=100)] == ["again", "x"]
        assert await logs.count_output(tx, kept.id, phase="BUILDING", after_phase="START") == (1, 21, 31)
        assert await logs.last_seq(tx, kept.id) == 22


async def test_pruning_keeps_the_newest_and_what_is_promoted_or_on_its_way(store: Database) -> None:
    artifacts, deployments = ArtifactStore(), DeploymentStore()
    async with store.write() as tx:
        for number in range(6):
            await artifacts.insert(tx, make_artifact(number))
        await deployments.insert(tx, make_deployment(1, artifact_id=make_artifact(0).id, status=Status.HEALTHY))
        await deployments.insert(tx, make_deployment(2, artifact_id=make_artifact(1).id, status=Status.STARTING))
        await deployments.insert(tx, make_deployment(3, artifact_id=make_artifact(2).id, status=Status.INACTIVE))
        await LaunchStore().promote(tx, SERVICE, make_deployment(1).id)
        await artifacts.prune(tx, SERVICE, keep=2)
        kept = [number for number in range(6) if await artifacts.find(tx, make_artifact(number).id) is not None]
        assert kept == [0, 1, 4, 5]
        assert await artifacts.find_of_deployment(tx, make_deployment(3).id) is None
        assert await artifacts.find_of_deployment(tx, make_deployment(1).id) == make_artifact(0)


async def test_replicas_drain_once_and_uploads_expire(store: Database) -> None:
    replicas, uploads, deployment = ReplicaStore(), UploadStore(), make_deployment(1)
    config = Replica(
        id="r",
        service_id=SERVICE,
        deployment_id=deployment.id,
        project="default",
        service="web",
        index=0,
        image="x",
        origin=Origin.LOCAL,
        port=80,
        health=Health(path="/", timeout_seconds=1),
        limits=Limits(cpu_millis=1, memory_bytes=1),
    )
    placed = PlacedReplica(
        id="r",
        service_id=SERVICE,
        deployment_id=deployment.id,
        node_id=NODE,
        index=3,
        config=config,
        wanted=Wanted.RUNNING,
        created_at=NOW,
    )
    upload = Upload(
        id="u",
        service_id=SERVICE,
        sha256="0" * 64,
        size_bytes=2**33,
        uncompressed_bytes=1,
        entries=1,
        created_at=NOW,
        expires_at=LATER,
    )
    async with store.write() as tx:
        await DeploymentStore().insert(tx, deployment)
        await replicas.insert(tx, [placed])
        assert await replicas.list_of_service(tx, SERVICE) == [placed]
        await replicas.drain(tx, [placed], at=NOW)
        await replicas.drain(tx, [placed], at=LATER)
        draining = dataclasses.replace(placed, wanted=Wanted.DRAINING, draining_at=NOW)
        assert await replicas.list_wanted(tx, Wanted.DRAINING) == [draining]
        assert await replicas.list_log_nodes(tx, SERVICE) == [NODE]
        await replicas.delete(tx, [draining], at=NOW)
        assert await replicas.list_of_deployment(tx, deployment.id) == []
        assert await replicas.list_log_nodes(tx, SERVICE) == [NODE]
        await replicas.delete(tx, [draining], at=NOW + LOGS_LAST)
        assert await replicas.list_log_nodes(tx, SERVICE) == [NODE]
        assert await replicas.list_log_nodes(tx, "another") == []
        await NodeStore().add(tx, make_node("n-3"))
        await replicas.insert(tx, [dataclasses.replace(placed, node_id="n-3")])
        assert await replicas.list_log_nodes(tx, SERVICE) == sorted([NODE, "n-3"])
        await replicas.delete(tx, [placed], at=NOW + 2 * LOGS_LAST)
        assert await replicas.list_log_nodes(tx, SERVICE) == ["n-3"]
        await uploads.insert(tx, upload)
        assert await uploads.find(tx, "u") == upload
        assert await uploads.list_expired(tx, NOW) == []
        assert await uploads.list_expired(tx, LATER) == [upload]
        launch = await LaunchStore().find(tx, SERVICE)
        assert launch is not None
        assert (launch.env, launch.limits.cpu_millis, launch.replicas) == ((("A", "2"),), 500, 1)
