"""The parts that receive uploads and carry deployments out."""

from __future__ import annotations

import dataclasses
import datetime as dt
from contextlib import AsyncExitStack
from typing import Final

from controld.core.audit import Audit
from controld.core.deployment_steps import Steps
from controld.core.deployment_work import Works
from controld.core.deployments import Deployments
from controld.core.ports import Agents
from controld.core.ports_deployments import FleetFacts
from controld.core.service_actions import ServiceActions
from controld.core.upkeep import Upkeep
from controld.core.uploads import Uploads
from controld.parts.ground import Ground
from controld.parts.nodes import NodeParts
from controld.rules.deployment import Timing
from controld.settings import Settings
from controld.store.artifacts import ArtifactStore
from controld.store.deployment_logs import DeploymentLogStore
from controld.store.deployments import DeploymentStore
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.launches import LaunchStore
from controld.store.nodes import NodeStore
from controld.store.replicas import ReplicaStore
from controld.store.upload_files import UploadFiles
from controld.store.uploads import UploadStore
from kit.archive.limits import Limits as ArchiveLimits
from kit.clock import Clock
from kit.ids import Ids
from wire.spec import Limits

UPLOADS_FOLDER: Final = "uploads"


async def open_deploying(ground: Ground, nodes: NodeParts, *, stack: AsyncExitStack) -> Deploying:
    """The parts, having taken over what an earlier process of a SQLite database left under lease."""
    deploying = make_deploying(
        ground.settings,
        database=ground.database,
        feed=ground.feed,
        nodes=nodes.store,
        agents=nodes.agents,
        fleet=nodes.fleet,
        audit=ground.audit,
        clock=ground.clock,
        ids=ground.ids,
    )
    stack.callback(deploying.files.close)
    if ground.database.url.startswith("sqlite"):
        await deploying.steps.take_over()
    return deploying


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deploying:
    """The parts that receive uploads and carry deployments out."""

    files: UploadFiles
    uploads: Uploads
    deployments: Deployments
    actions: ServiceActions
    steps: Steps
    upkeep: Upkeep


def make_deploying(
    settings: Settings,
    *,
    database: Database,
    feed: Feed,
    nodes: NodeStore,
    agents: Agents,
    fleet: FleetFacts,
    audit: Audit,
    clock: Clock,
    ids: Ids,
) -> Deploying:
    """The parts over a database, the nodes and their agents."""
    deployments, logs, artifacts = DeploymentStore(), DeploymentLogStore(), ArtifactStore()
    replicas, launches, uploads = ReplicaStore(), LaunchStore(), UploadStore()
    timing = Timing(
        placement=dt.timedelta(seconds=settings.placement_seconds),
        build=dt.timedelta(seconds=settings.build_seconds),
        pull=dt.timedelta(seconds=settings.pull_seconds),
        start=dt.timedelta(seconds=settings.start_seconds),
        at_once=settings.deployments_at_once,
    )
    limits = ArchiveLimits(
        compressed_bytes=settings.upload_max_bytes,
        uncompressed_bytes=settings.upload_max_uncompressed_bytes,
        entries=settings.upload_max_entries,
    )
    files = UploadFiles(settings.data_dir / UPLOADS_FOLDER, limits=limits, clock=clock)
    works = Works(
        database=database,
        feed=feed,
        deployments=deployments,
        logs=logs,
        nodes=nodes,
        agents=agents,
        files=files,
        clock=clock,
        timing=timing,
        build_limits=Limits(cpu_millis=settings.build_cpu_millis, memory_bytes=settings.build_memory_bytes),
        lease_seconds=settings.lease_seconds,
    )
    steps = Steps(
        database=database,
        deployments=deployments,
        logs=logs,
        artifacts=artifacts,
        replicas=replicas,
        launches=launches,
        uploads=uploads,
        files=files,
        fleet=fleet,
        works=works,
        clock=clock,
        ids=ids,
        timing=timing,
        lease_seconds=settings.lease_seconds,
        drain_seconds=settings.drain_seconds,
        kept_artifacts=settings.artifacts_kept,
    )
    upkeep = Upkeep(
        database=database,
        deployments=deployments,
        artifacts=artifacts,
        replicas=replicas,
        launches=launches,
        fleet=fleet,
        clock=clock,
        ids=ids,
        drain_seconds=settings.drain_seconds,
    )
    operations = Deployments(
        database=database,
        feed=feed,
        deployments=deployments,
        logs=logs,
        launches=launches,
        uploads=uploads,
        audit=audit,
        clock=clock,
        ids=ids,
    )
    actions = ServiceActions(
        database=database,
        operations=operations,
        deployments=deployments,
        replicas=replicas,
        launches=launches,
        audit=audit,
        clock=clock,
    )
    receiving = Uploads(
        database=database,
        uploads=uploads,
        files=files,
        deployments=deployments,
        launches=launches,
        audit=audit,
        clock=clock,
        ids=ids,
        max_bytes=settings.upload_max_bytes,
        lifetime_seconds=settings.upload_seconds,
        at_once=settings.uploads_at_once,
    )
    return Deploying(
        files=files, uploads=receiving, deployments=operations, actions=actions, steps=steps, upkeep=upkeep
    )
