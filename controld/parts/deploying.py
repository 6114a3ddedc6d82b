"""The parts that receive uploads and carry deployments out."""

from __future__ import annotations

import dataclasses
import datetime as dt
from contextlib import AsyncExitStack
from typing import Final

from controld.core.audit import Audit
from controld.core.autoscaling import Autoscaling
from controld.core.deployment_steps import Steps
from controld.core.deployment_work import Works
from controld.core.deployments import Deployments
from controld.core.git_sources import GitSources
from controld.core.image_sources import ImageSources
from controld.core.placing import Placing
from controld.core.ports import Agents
from controld.core.ports_deployments import FleetFacts
from controld.core.ports_secrets import SecretVault
from controld.core.scale_notes import ScaleNotes
from controld.core.service_actions import ServiceActions
from controld.core.upkeep import Upkeep
from controld.core.uploads import Uploads
from controld.core.waking import Waking
from controld.gateways.registries import RegistryCalls
from controld.parts.control_domain import leading_label_of
from controld.parts.ground import Ground
from controld.parts.nodes import NodeParts
from controld.rules.deployment import Timing
from controld.rules.placement import Promise
from controld.settings import Settings
from controld.store.artifacts import ArtifactStore
from controld.store.deployment_logs import DeploymentLogStore
from controld.store.deployments import DeploymentStore
from controld.store.engine import Database
from controld.store.external_registries import ExternalRegistryStore
from controld.store.feed import Feed
from controld.store.git_credentials import GitCredentialStore
from controld.store.launches import LaunchStore
from controld.store.leases import LeaseStore
from controld.store.nodes import NodeStore
from controld.store.replicas import ReplicaStore
from controld.store.trust_files import TrustFiles
from controld.store.upload_files import UploadFiles
from controld.store.uploads import UploadStore
from kit.archive.limits import Limits as ArchiveLimits
from kit.clock import Clock
from kit.ids import Ids
from wire.spec import Limits

UPLOADS_FOLDER: Final = "uploads"


def make_git_sources(settings: Settings, *, database: Database, secrets: SecretVault) -> GitSources:
    """What opens repositories for the nodes that clone them."""
    return GitSources(
        database=database,
        credentials=GitCredentialStore(),
        vault=secrets,
        trust=TrustFiles(known_hosts=settings.git_known_hosts, authorities=settings.git_authorities),
        allow_private_hosts=settings.allow_private_git_hosts,
        clone_seconds=settings.clone_seconds,
    )


async def open_deploying(ground: Ground, nodes: NodeParts, *, stack: AsyncExitStack) -> Deploying:
    """The parts, having taken over what an earlier process of a SQLite database left under lease."""
    deploying = make_deploying(
        ground.settings,
        database=ground.database,
        feed=ground.feed,
        nodes=nodes.store,
        agents=nodes.agents,
        fleet=nodes.fleet,
        images=ImageSources(
            database=ground.database,
            registries=ExternalRegistryStore(),
            vault=ground.secrets,
            client=RegistryCalls(allow_private=ground.settings.allow_private_registries),
        ),
        audit=ground.audit,
        clock=ground.clock,
        ids=ground.ids,
        secrets=ground.secrets,
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
    autoscaling: Autoscaling
    waking: Waking
    promise: Promise
    images: ImageSources


def make_deploying(
    settings: Settings,
    *,
    database: Database,
    feed: Feed,
    nodes: NodeStore,
    agents: Agents,
    fleet: FleetFacts,
    images: ImageSources,
    audit: Audit,
    clock: Clock,
    ids: Ids,
    secrets: SecretVault,
) -> Deploying:
    """The parts over a database, the nodes and their agents."""
    deployments, logs, artifacts = DeploymentStore(), DeploymentLogStore(), ArtifactStore()
    replicas, launches, uploads = ReplicaStore(), LaunchStore(), UploadStore()
    promise = Promise(
        headroom_cpu_millis=settings.node_headroom_cpu_millis,
        headroom_memory_bytes=settings.node_headroom_memory_bytes,
        cpu_percent=settings.node_cpu_percent,
        memory_percent=settings.node_memory_percent,
    )
    placing = Placing(replicas=replicas, clock=clock, ids=ids, drain_seconds=settings.drain_seconds)
    timing = Timing(
        placement=dt.timedelta(seconds=settings.placement_seconds),
        build=dt.timedelta(seconds=settings.build_seconds),
        pull=dt.timedelta(seconds=settings.pull_seconds),
        start=dt.timedelta(seconds=settings.start_seconds),
        at_once=settings.deployments_at_once,
        surge_percent=settings.rollout_surge_percent,
        promise=promise,
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
        rows=deployments,
        logs=logs,
        kinds=("deployment", "service"),
        nodes=nodes,
        agents=agents,
        files=files,
        repositories=make_git_sources(settings, database=database, secrets=secrets),
        images=images,
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
        placing=placing,
        kept_artifacts=settings.artifacts_kept,
    )
    upkeep = Upkeep(
        database=database,
        deployments=deployments,
        artifacts=artifacts,
        replicas=replicas,
        launches=launches,
        nodes=nodes,
        fleet=fleet,
        clock=clock,
        placing=placing,
        promise=promise,
    )
    notes = ScaleNotes(logs=logs, audit=audit, clock=clock)
    autoscaling = Autoscaling(
        database=database,
        launches=launches,
        deployments=deployments,
        replicas=replicas,
        artifacts=artifacts,
        nodes=nodes,
        leases=LeaseStore(),
        fleet=fleet,
        agents=agents,
        notes=notes,
        clock=clock,
        ids=ids,
        promise=promise,
        headroom=Promise(
            headroom_cpu_millis=settings.autoscale_headroom_cpu_millis,
            headroom_memory_bytes=settings.autoscale_headroom_memory_bytes,
            cpu_percent=100,
            memory_percent=100,
        ),
        tick_seconds=settings.autoscale_seconds,
        leading_label=leading_label_of(settings),
    )
    operations = Deployments(
        database=database,
        feed=feed,
        deployments=deployments,
        artifacts=artifacts,
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
        files=files,
        uploads=receiving,
        deployments=operations,
        actions=actions,
        steps=steps,
        upkeep=upkeep,
        autoscaling=autoscaling,
        waking=Waking(
            database=database,
            launches=launches,
            replicas=replicas,
            fleet=fleet,
            notes=notes,
        ),
        promise=promise,
        images=images,
    )
