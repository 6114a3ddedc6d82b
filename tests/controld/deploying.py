"""A service with nodes under it, for tests of what deployments do."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

from controld.model.caller import SETUP_CALLER
from controld.model.deployment import (
    Deployment,
    DeploymentRequest,
    ImageRequest,
    LogLine,
    RedeployRequest,
    Status,
    UploadRequest,
)
from controld.model.node import Node, NodeState
from controld.model.replica import PlacedReplica
from controld.model.service import (
    ExternalImageSource,
    GitSource,
    HealthCheck,
    Service,
    ServiceDraft,
    ServiceSource,
    UploadSource,
)
from controld.rules.deployment_log import render_line
from controld.store.deployment_logs import DeploymentLogStore
from controld.store.launches import LaunchStore
from controld.store.nodes import NodeStore
from controld.store.replicas import ReplicaStore
from tests.controld.app import App
from tests.fakes.fleet import HEARD
from tests.kit.archive.build import END, file, zst
from wire.link import ReplicaState
from wire.spec import Wanted

ARCHIVE = zst(file(b"Dockerfile", b"FROM scratch\n") + END)


class Ground:
    """A project with one service on some ready nodes."""

    def __init__(self, app: App, service: Service, nodes: tuple[str, ...]) -> None:
        self.app = app
        self.service = service
        self.nodes = nodes
        self.steps = app.deploying.steps

    def draft(self, name: str) -> ServiceDraft:
        """Another service of the project."""
        return make_draft(self.service.project_id, name)

    async def upload(self, data: bytes = ARCHIVE) -> UploadRequest:
        """A request for a fresh upload."""
        upload = await self.app.deploying.uploads.create(SETUP_CALLER, self.service.id, one_chunk(data))
        return UploadRequest(
            service_id=self.service.id, upload_id=upload.id, dockerfile_path="Dockerfile", context_path="."
        )

    async def deploy(self, request: DeploymentRequest | None = None) -> Deployment:
        """A pending deployment, by upload unless told."""
        return await self.app.deploying.deployments.create(SETUP_CALLER, request or await self.upload())

    async def image(self) -> Deployment:
        """A pending deployment of the service's image."""
        return await self.deploy(ImageRequest(service_id=self.service.id, image="x"))

    async def redeploy(self) -> Deployment:
        """A pending deployment of what is promoted."""
        return await self.deploy(RedeployRequest(service_id=self.service.id))

    async def see(self, deployment: Deployment) -> Deployment:
        """The deployment as it is now."""
        return (await self.app.deploying.deployments.get(SETUP_CALLER, deployment.id))[0]

    async def status(self, deployment: Deployment) -> Status:
        """Its status now."""
        return (await self.see(deployment)).status

    async def advance(self, deployment: Deployment) -> Status:
        """Its status after the steps that are ready."""
        await self.steps.advance(deployment.id)
        return await self.status(deployment)

    async def replicas(self, deployment: Deployment | None = None) -> list[PlacedReplica]:
        """The replicas of a deployment, or all of the service's."""
        async with self.app.database.read() as tx:
            if deployment is None:
                return await ReplicaStore().list_of_service(tx, self.service.id)
            return await ReplicaStore().list_of_deployment(tx, deployment.id)

    async def running(self) -> list[str]:
        """The deployments whose replicas are wanted running."""
        return [each.deployment_id for each in await self.replicas() if each.wanted is Wanted.RUNNING]

    async def promoted(self) -> str | None:
        """The deployment that takes the traffic."""
        async with self.app.database.read() as tx:
            launch = await LaunchStore().find(tx, self.service.id)
        assert launch is not None
        return launch.promoted_deployment_id

    async def report(self, deployment: Deployment, state: ReplicaState, **more: object) -> None:
        """Have the nodes report this of all of its replicas."""
        for replica in await self.replicas(deployment):
            self.app.fleet.report(replica.node_id, replica.id, state, **more)  # type: ignore[arg-type]

    async def make_healthy(self, deployment: Deployment) -> Deployment:
        """Bring it all the way."""
        await self.advance(deployment)
        await self.report(deployment, ReplicaState.HEALTHY)
        assert await self.advance(deployment) is Status.HEALTHY
        return await self.see(deployment)

    async def log(self, deployment: Deployment) -> list[str]:
        """The lines without their moment."""
        async with self.app.database.read() as tx:
            lines: list[LogLine] = await DeploymentLogStore().read(tx, deployment.id, after=0, limit=100_000)
        return [render_line(line).partition(" ")[2] for line in lines]


async def make_ground(app: App, *, nodes: int = 1, source: ServiceSource | None = None) -> Ground:
    """A service by that source (an upload unless told) with as many ready nodes."""
    project_id = await app.add_project()
    service = await app.services.put(SETUP_CALLER, make_draft(project_id, "web", source=source))
    ids = tuple(f"00000000-0000-7000-8000-00000000000{number + 1}" for number in range(nodes))
    async with app.database.write() as tx:
        for node_id in ids:
            await NodeStore().add(tx, make_node(node_id))
            app.fleet.put(node_id)
    return Ground(app, service, ids)


def make_draft(project_id: str, name: str, *, source: ServiceSource | None = None) -> ServiceDraft:
    """A service of that name."""
    return ServiceDraft(
        project_id=project_id,
        name=name,
        domains=(),
        source=source or UploadSource(),
        internal_port=8080,
        health_check=HealthCheck(path="/", timeout_seconds=5),
    )


def git_source(**changes: str) -> GitSource:
    """A service's source that is a repository."""
    source = GitSource(
        repo_url="https://git.example/shop/web.git",
        git_ref="main",
        dockerfile_path="docker/Dockerfile",
        context_path="app",
        credential="default",
    )
    return dataclasses.replace(source, **changes)


def image_source() -> ServiceSource:
    """A service's source that is an image."""
    return ExternalImageSource(image="docker.io/library/nginx:1")


def make_node(node_id: str) -> Node:
    """A ready node."""
    return Node(
        id=node_id,
        name=f"node-{node_id[-1]}",
        state=NodeState.READY,
        labels={},
        address="127.0.0.1",
        port=1,
        certificate_serial=node_id,
        previous_serial=None,
        certificate_expires_at=HEARD,
        agent_version=None,
        wire_version=1,
        created_at=HEARD,
        heard_at=HEARD,
        removed_at=None,
    )


async def one_chunk(data: bytes) -> AsyncIterator[bytes]:
    """The data at once."""
    yield data
