"""The parts that keep jobs and carry out their runs."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.core.audit import Audit
from controld.core.deployment_work import Works
from controld.core.image_sources import ImageSources
from controld.core.job_facts import JobFactsReader
from controld.core.job_follow import Follower
from controld.core.job_retention import JobRetention
from controld.core.job_runs import JobRuns
from controld.core.job_schedule import JobSchedule
from controld.core.job_steps import JobSteps
from controld.core.jobs import Jobs
from controld.core.ports import Agents
from controld.core.ports_deployments import FleetFacts, UploadFiles
from controld.core.ports_secrets import SecretVault
from controld.parts.deploying import Deploying, make_git_sources
from controld.parts.ground import Ground
from controld.parts.nodes import NodeParts
from controld.rules.deployment import Timing as WorkTiming
from controld.rules.job_run import Timing
from controld.settings import Settings
from controld.store.engine import Database
from controld.store.external_registries import ExternalRegistryStore
from controld.store.feed import Feed
from controld.store.job_run_logs import JobRunLogStore
from controld.store.job_runs import JobRunStore
from controld.store.jobs import JobStore
from controld.store.nodes import NodeStore
from controld.store.projects import ProjectStore
from controld.store.replicas import ReplicaStore
from controld.store.zones import ZoneFiles
from kit.clock import Clock
from kit.ids import Ids
from wire.spec import Limits


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobParts:
    """Jobs, their runs, and what carries those out."""

    jobs: Jobs
    runs: JobRuns
    schedule: JobSchedule
    steps: JobSteps
    retention: JobRetention


async def open_jobs(ground: Ground, nodes: NodeParts, deploying: Deploying) -> JobParts:
    """The parts, having taken over what an earlier process of a SQLite database left under lease."""
    parts = make_jobs(
        ground.settings,
        database=ground.database,
        feed=ground.feed,
        nodes=nodes.store,
        agents=nodes.agents,
        fleet=nodes.fleet,
        files=deploying.files,
        images=deploying.images,
        audit=ground.audit,
        clock=ground.clock,
        ids=ground.ids,
        secrets=ground.secrets,
    )
    if ground.database.url.startswith("sqlite"):
        await parts.steps.take_over()
    return parts


def make_jobs(
    settings: Settings,
    *,
    database: Database,
    feed: Feed,
    nodes: NodeStore,
    agents: Agents,
    fleet: FleetFacts,
    files: UploadFiles,
    images: ImageSources,
    audit: Audit,
    clock: Clock,
    ids: Ids,
    secrets: SecretVault,
) -> JobParts:
    """The parts over a database, the nodes and their agents."""
    jobs, runs, logs, zones = JobStore(), JobRunStore(), JobRunLogStore(), ZoneFiles()
    facts = JobFactsReader(jobs=jobs, runs=runs, replicas=ReplicaStore(), clock=clock)
    timing = Timing(
        placement=dt.timedelta(seconds=settings.job_placement_seconds),
        build=dt.timedelta(seconds=settings.build_seconds),
        pull=dt.timedelta(seconds=settings.pull_seconds),
        start=dt.timedelta(seconds=settings.job_start_seconds),
        lost=dt.timedelta(seconds=settings.node_lost_seconds),
        timeout_seconds=settings.job_timeout_seconds,
        at_once=settings.job_runs_at_once,
        per_node=settings.job_runs_per_node,
    )
    works = Works(
        database=database,
        feed=feed,
        rows=runs,
        logs=logs,
        kinds=("job_run",),
        nodes=nodes,
        agents=agents,
        files=files,
        repositories=make_git_sources(settings, database=database, secrets=secrets),
        images=images,
        clock=clock,
        timing=WorkTiming(
            build=dt.timedelta(seconds=settings.build_seconds), pull=dt.timedelta(seconds=settings.pull_seconds)
        ),
        build_limits=Limits(cpu_millis=settings.build_cpu_millis, memory_bytes=settings.build_memory_bytes),
        lease_seconds=settings.lease_seconds,
    )
    follower = Follower(
        database=database,
        feed=feed,
        runs=runs,
        logs=logs,
        nodes=nodes,
        agents=agents,
        facts=facts,
        fleet=fleet,
        clock=clock,
        lease_seconds=settings.lease_seconds,
        most_log_bytes=settings.job_log_bytes,
    )
    return JobParts(
        jobs=Jobs(
            database=database,
            jobs=jobs,
            runs=runs,
            projects=ProjectStore(),
            zones=zones,
            audit=audit,
            clock=clock,
            ids=ids,
            registries=ExternalRegistryStore(),
            allow_private_registries=settings.allow_private_registries,
            allow_private_git_hosts=settings.allow_private_git_hosts,
        ),
        runs=JobRuns(database=database, feed=feed, jobs=jobs, runs=runs, logs=logs, audit=audit, clock=clock),
        schedule=JobSchedule(
            database=database,
            jobs=jobs,
            runs=runs,
            zones=zones,
            clock=clock,
            ids=ids,
            late_seconds=settings.job_late_seconds,
        ),
        steps=JobSteps(
            database=database,
            runs=runs,
            logs=logs,
            facts=facts,
            fleet=fleet,
            works=works,
            follower=follower,
            clock=clock,
            ids=ids,
            timing=timing,
            lease_seconds=settings.lease_seconds,
        ),
        retention=JobRetention(
            database=database,
            runs=runs,
            clock=clock,
            keep_runs=settings.job_runs_kept,
            keep_seconds=settings.job_runs_kept_seconds,
        ),
    )
