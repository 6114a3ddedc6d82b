"""Builds every part of the control daemon, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from controld.api.listener import PublicListener
from controld.api.nodeside.auth import NodeAuth
from controld.api.nodeside.surface import make_surface as make_nodeside
from controld.api.registry.auth import TokenAuth
from controld.api.registry.surface import make_surface as make_registry
from controld.api.v1.auth import BearerAuth, make_throttle
from controld.api.v1.surface import Operations, make_surface
from controld.core.audit import Audit
from controld.core.authority import Authority
from controld.core.deployment_steps import Steps
from controld.core.deployment_work import Works
from controld.core.deployments import Deployments
from controld.core.enrolment import Enrolment
from controld.core.fleet import Fleet
from controld.core.identities import Identities
from controld.core.link import Links
from controld.core.members import Members
from controld.core.node_directory import NodeDirectory
from controld.core.node_specs import NodeSpecs
from controld.core.nodes import Nodes
from controld.core.platform import Platform
from controld.core.ports import Agents
from controld.core.ports_deployments import FleetFacts
from controld.core.projects import Projects
from controld.core.registry import Registry
from controld.core.registry_access import RegistryAccess
from controld.core.registry_upkeep import RegistryUpkeep
from controld.core.registry_uploads import RegistryUploads
from controld.core.reports import Reports
from controld.core.service_actions import ServiceActions
from controld.core.services import Services
from controld.core.sessions import Sessions
from controld.core.tokens import Tokens
from controld.core.upkeep import Upkeep
from controld.core.uploads import Uploads
from controld.core.users import Users
from controld.gateways.agents import AgentCalls
from controld.loops.credentials import CredentialLoop
from controld.loops.deployments import DeploymentDuty
from controld.loops.heartbeat import Heartbeats
from controld.loops.reconcile import ReconcileDuty
from controld.loops.registry import RegistryLoop
from controld.loops.retention import RetentionDuty
from controld.rules.deployment import Timing
from controld.settings import Settings
from controld.store.artifacts import ArtifactStore
from controld.store.audit import AuditStore
from controld.store.authority_files import AuthorityFiles
from controld.store.blob_files import BlobFiles
from controld.store.credentials import CredentialStore
from controld.store.data_dir import read_setup_secret
from controld.store.deployment_logs import DeploymentLogStore
from controld.store.deployments import DeploymentStore
from controld.store.engine import Database
from controld.store.facts import FactStore
from controld.store.feed import Feed
from controld.store.launches import LaunchStore
from controld.store.node_reports import NodeReportStore
from controld.store.node_specs import NodeSpecStore
from controld.store.nodes import JoinTokenStore, NodeStore
from controld.store.passwords import Passwords
from controld.store.projects import MemberStore, ProjectStore
from controld.store.registry import RegistryStore
from controld.store.replicas import ReplicaStore
from controld.store.services import HostnameStore, ServiceStore
from controld.store.upload_files import UploadFiles
from controld.store.uploads import UploadStore
from controld.store.users import UserStore
from kit.archive.limits import Limits as ArchiveLimits
from kit.clock import Clock, SystemClock
from kit.http.server import Server
from kit.ids import Ids, SystemIds
from kit.lifecycle import settle_memory
from kit.tasks import Tasks
from wire.spec import Limits

_log = logging.getLogger(__name__)

DATABASE_FILE = "controld.db"
AUTHORITY_FOLDER = "authority"
SETUP_SECRET_FILE = "setup-secret"
UPLOADS_FOLDER = "uploads"
REGISTRY_FOLDER = "registry"


async def run_controld(
    settings: Settings, *, stop: asyncio.Event, started: Callable[[int], None] | None = None
) -> None:
    """Run the control daemon until `stop` is set; `started` is told the public port once it answers.

    `data_dir` exists and is held by this process. What nodes run goes on as it is when this ends.
    """
    async with AsyncExitStack() as stack:
        # What everything stands on
        clock = SystemClock()
        ids = SystemIds()
        feed = Feed(ids.new_secret(8))
        database = Database(_database_url(settings), feed=feed, clock=clock)
        stack.push_async_callback(database.close)
        await database.open()
        passwords = Passwords(threads=settings.password_threads)
        stack.callback(passwords.close)
        secret_file = settings.data_dir / SETUP_SECRET_FILE
        setup_secret = settings.setup_secret
        if setup_secret is None:
            setup_secret = await asyncio.to_thread(read_setup_secret, secret_file, ids=ids)
        loops = Tasks("loops")
        stack.push_async_callback(loops.close)

        # Stores
        facts = FactStore()
        user_store = UserStore()
        credential_store = CredentialStore()
        project_store = ProjectStore()
        member_store = MemberStore()
        service_store = ServiceStore()
        hostname_store = HostnameStore()

        # People, and what they may reach
        base_domain = settings.base_domain.lower()
        control_domain = None if settings.control_domain is None else settings.control_domain.lower()
        audit = Audit(AuditStore(), clock=clock, ids=ids)
        identities = Identities(
            database=database,
            credentials=credential_store,
            feed=feed,
            clock=clock,
            setup_secret=setup_secret,
            session_seconds=settings.session_seconds,
            session_limit_seconds=settings.session_limit_seconds,
        )
        stack.push_async_callback(identities.write_uses)
        sessions = Sessions(
            database=database,
            users=user_store,
            credentials=credential_store,
            passwords=passwords,
            audit=audit,
            clock=clock,
            ids=ids,
            session_seconds=settings.session_seconds,
            logins_per_minute=settings.logins_per_minute,
        )
        users = Users(
            database=database,
            users=user_store,
            facts=facts,
            passwords=passwords,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        tokens = Tokens(
            database=database,
            credentials=credential_store,
            projects=project_store,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        projects = Projects(database=database, projects=project_store, feed=feed, audit=audit, clock=clock, ids=ids)
        members = Members(
            database=database, members=member_store, projects=project_store, users=user_store, audit=audit
        )
        services = Services(
            database=database,
            services=service_store,
            hostnames=hostname_store,
            projects=project_store,
            feed=feed,
            audit=audit,
            clock=clock,
            ids=ids,
            base_domain=base_domain,
            control_domain=control_domain,
            can_issue_certificates=False,
        )

        # Nodes
        node_store = NodeStore()
        node_socket = socket.create_server((settings.node_listen_host, settings.node_listen_port), backlog=1024)
        stack.callback(node_socket.close)
        node_url = settings.node_url or f"https://{socket.gethostname()}:{node_socket.getsockname()[1]}"
        authority_files = AuthorityFiles(settings.data_dir / AUTHORITY_FOLDER)
        authority = Authority(
            authority_files,
            database=database,
            facts=facts,
            clock=clock,
            hosts=(urlsplit(node_url).hostname or "localhost",),
        )
        await authority.open()
        directory = NodeDirectory(database=database, store=node_store, feed=feed)
        specs = NodeSpecs(database=database, store=NodeSpecStore(), feed=feed, control_domain=control_domain)
        reports = Reports(database=database, store=NodeReportStore(), feed=feed, clock=clock)
        await reports.open()
        nodes = Nodes(database=database, store=node_store, reports=reports, audit=audit, clock=clock)
        enrolment = Enrolment(
            authority,
            database=database,
            nodes=node_store,
            tokens=JoinTokenStore(),
            audit=audit,
            clock=clock,
            ids=ids,
            url=node_url,
            token_seconds=settings.join_token_seconds,
        )
        links = Links(
            nodes=nodes,
            directory=directory,
            specs=specs,
            reports=reports,
            feed=feed,
            clock=clock,
            beat_seconds=settings.beat_seconds,
            heartbeats_per_second=settings.heartbeats_per_second,
        )
        heartbeats = Heartbeats(
            links=links,
            reports=reports,
            nodes=nodes,
            authority=authority,
            clock=clock,
            lost_seconds=settings.node_lost_seconds,
        )
        stack.push_async_callback(reports.flush)
        stack.push_async_callback(links.stop)

        # Deployments
        agents = AgentCalls(await authority_files.make_client_context())
        stack.push_async_callback(agents.close)
        deploying = make_deploying(
            settings,
            database=database,
            feed=feed,
            nodes=node_store,
            agents=agents,
            fleet=Fleet(database=database, nodes=node_store, reports=reports, specs=specs),
            audit=audit,
            clock=clock,
            ids=ids,
        )
        stack.callback(deploying.files.close)
        if database.url.startswith("sqlite"):
            await deploying.steps.take_over()

        # Images
        blob_files = BlobFiles(settings.registry_dir or settings.data_dir / REGISTRY_FOLDER)
        stack.push_async_callback(blob_files.close)
        await blob_files.open()
        registry_store = RegistryStore()
        registry_access = RegistryAccess(registry_store)
        registry = Registry(
            database,
            registry_store,
            access=registry_access,
            files=blob_files,
            audit=audit,
            clock=clock,
            ids=ids,
            grace_seconds=settings.registry_grace_seconds,
        )
        registry_uploads = RegistryUploads(
            database,
            registry_store,
            access=registry_access,
            files=blob_files,
            clock=clock,
            ids=ids,
            max_blob_bytes=settings.registry_max_blob_bytes,
        )
        registry_upkeep = RegistryUpkeep(
            database,
            registry_store,
            files=blob_files,
            audit=audit,
            clock=clock,
            grace_seconds=settings.registry_grace_seconds,
            expiry_seconds=settings.registry_upload_expiry_seconds,
        )

        # Loops
        credential_loop = CredentialLoop(identities=identities, sessions=sessions, clock=clock)
        loops.start("credentials", credential_loop.run())
        loops.start("links", links.run())
        loops.start("heartbeats", heartbeats.run())
        loops.start("deployments", DeploymentDuty(steps=deploying.steps, feed=feed, clock=clock).run())
        loops.start("reconcile", ReconcileDuty(upkeep=deploying.upkeep, feed=feed, clock=clock).run())
        loops.start("retention", RetentionDuty(uploads=deploying.uploads, clock=clock).run())
        registry_loop = RegistryLoop(
            registry_upkeep,
            clock=clock,
            sweep_seconds=settings.registry_sweep_seconds,
            collect_seconds=settings.registry_collect_seconds,
        )
        loops.start("registry", registry_loop.run())

        # Surfaces
        v1 = make_surface(
            Operations(
                platform=Platform(reports=reports, control_domain=control_domain),
                sessions=sessions,
                users=users,
                tokens=tokens,
                projects=projects,
                members=members,
                services=services,
                nodes=nodes,
                enrolment=enrolment,
                uploads=deploying.uploads,
                deployments=deploying.deployments,
                actions=deploying.actions,
                clock=clock,
                registry=registry,
                registry_upkeep=registry_upkeep,
            ),
            auth=BearerAuth(identities),
            throttle=make_throttle(settings.requests_per_minute, clock=clock),
        )
        make_images = partial(
            make_registry, registry, registry_uploads, max_manifest_bytes=settings.registry_max_manifest_bytes
        )
        listener = PublicListener(
            [v1, make_images(authenticate=TokenAuth(identities.recognise).authenticate)],
            host=settings.listen_host,
            port=settings.listen_port,
            is_claimed=users.is_initialised,
            feed=feed,
            ids=ids,
        )
        node_auth = NodeAuth(directory)
        nodeside = make_nodeside(auth=node_auth, authority=authority, enrolment=enrolment, links=links)
        node_tasks = Tasks("node side")
        stack.push_async_callback(node_tasks.close)
        node_listener = Server(
            [nodeside, make_images(authenticate=node_auth.authenticate)],
            host=settings.node_listen_host,
            port=settings.node_listen_port,
            ids=ids,
            tasks=node_tasks,
            ssl=await authority_files.make_server_context(),
            listening_socket=node_socket,
        )
        await node_listener.start()
        stack.push_async_callback(node_listener.stop, settings.stop_grace_seconds)
        await listener.start()
        stack.push_async_callback(listener.stop, settings.stop_grace_seconds)

        settle_memory()
        if started is not None:
            started(listener.port)
        if not await users.is_initialised():
            _log.info("no admin yet: create the first with the setup secret", extra={"file": str(secret_file)})
        await stop.wait()
        _log.info("stopping")


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


def _database_url(settings: Settings) -> str:
    return settings.database_url or f"sqlite+aiosqlite:///{Path(settings.data_dir).absolute()}/{DATABASE_FILE}"
