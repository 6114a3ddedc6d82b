"""Puts the parts of the control daemon in order: started from the ground up, stopped in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from controld.api.listener import PublicListener
from controld.api.nodeside.auth import NodeAuth
from controld.api.nodeside.surface import make_surface as make_nodeside
from controld.api.registry.auth import TokenAuth
from controld.api.registry.surface import make_surface as make_registry
from controld.api.v1.auth import BearerAuth, make_throttle
from controld.api.v1.surface import Operations, make_surface
from controld.core.platform import Platform
from controld.loops.audit import AuditDuty
from controld.loops.autoscale import AutoscaleDuty
from controld.loops.certificates import CertificateDuty
from controld.loops.consoles import ConsoleDuty
from controld.loops.credentials import CredentialLoop
from controld.loops.jobs import JobDuty
from controld.loops.reconcile import ReconcileDuty
from controld.loops.registry import RegistryLoop
from controld.loops.retention import RetentionDuty
from controld.loops.steps import StepDuty
from controld.loops.waking import WakingDuty
from controld.parts.consoles import ConsoleParts, open_consoles
from controld.parts.control_domain import control_domain_of
from controld.parts.deploying import Deploying, open_deploying
from controld.parts.domains import DomainParts, open_domains
from controld.parts.exposition import open_exposition
from controld.parts.ground import Ground, open_ground
from controld.parts.image_cache import make_image_caches
from controld.parts.images import Images, open_images
from controld.parts.jobs import JobParts, open_jobs
from controld.parts.nodes import NodeParts, open_nodes
from controld.parts.observing import Observing, make_observing
from controld.parts.people import SETUP_SECRET_FILE, People, open_people
from controld.parts.viewing import make_viewing
from controld.settings import Settings
from kit.http.server import Server
from kit.http.surface import Surface
from kit.http.tally import Tally
from kit.lifecycle import settle_memory
from kit.tasks import Tasks

_log = logging.getLogger(__name__)


async def run_controld(
    settings: Settings, *, stop: asyncio.Event, started: Callable[[int], None] | None = None
) -> None:
    """Run the control daemon until `stop` is set; `started` is told the public port once it answers.

    `data_dir` exists and is held by this process. What nodes run goes on as it is when this ends.
    """
    async with AsyncExitStack() as stack:
        ground = await open_ground(settings, stack=stack)
        people = await open_people(ground, stack=stack)
        nodes = await open_nodes(ground, stack=stack)
        domains = open_domains(ground, nodes, stack=stack)
        deploying = await open_deploying(ground, nodes, stack=stack)
        images = await open_images(ground, people, stack=stack)
        consoles = open_consoles(ground, people=people, nodes=nodes, stack=stack)
        jobs = await open_jobs(ground, nodes, deploying)
        observing = make_observing(ground, people=people, nodes=nodes)

        loops = Tasks("loops")
        stack.push_async_callback(loops.close)
        _start_loops(
            loops,
            ground,
            people=people,
            nodes=nodes,
            domains=domains,
            deploying=deploying,
            images=images,
            jobs=jobs,
        )
        loops.start("consoles", ConsoleDuty(ledger=consoles.ledger, clock=ground.clock).run())

        tally = Tally()
        exposition = await open_exposition(
            ground, people=people, nodes=nodes, consoles=consoles, logs=observing.logs, tally=tally, loops=loops
        )

        make_images = partial(
            make_registry,
            images.registry,
            images.uploads,
            max_manifest_bytes=settings.registry_max_manifest_bytes,
        )
        node_auth = NodeAuth(nodes.directory)
        nodeside = make_nodeside(
            auth=node_auth,
            authority=nodes.authority,
            enrolment=nodes.enrolment,
            links=nodes.links,
            waking=deploying.waking,
        )
        node_tasks = Tasks("node side")
        stack.push_async_callback(node_tasks.close)
        node_listener = Server(
            [nodeside, make_images(authenticate=node_auth.authenticate)],
            host=settings.node_listen_host,
            port=settings.node_listen_port,
            ids=ground.ids,
            tasks=node_tasks,
            ssl=await nodes.authority_files.make_server_context(),
            listening_socket=nodes.listening_socket,
            tally=tally,
        )
        await node_listener.start()
        stack.push_async_callback(node_listener.stop, settings.stop_grace_seconds)

        v1 = _make_v1(
            ground,
            people=people,
            nodes=nodes,
            domains=domains,
            deploying=deploying,
            images=images,
            consoles=consoles,
            jobs=jobs,
            observing=observing,
        )
        public_images = make_images(
            authenticate=TokenAuth(people.identities.recognise, images.tokens.recognise).authenticate,
            tokens=images.tokens,
            realm=settings.registry_token_url,
            note_forbidden=people.refusals.note_forbidden,
        )
        listener = PublicListener(
            [v1, public_images, exposition],
            host=settings.listen_host,
            port=settings.listen_port,
            is_claimed=people.users.is_initialised,
            feed=ground.feed,
            ids=ground.ids,
            tally=tally,
        )
        await listener.start()
        stack.push_async_callback(listener.stop, settings.stop_grace_seconds)

        settle_memory()
        if started is not None:
            started(listener.port)
        if not await people.users.is_initialised():
            secret_file = settings.data_dir / SETUP_SECRET_FILE
            _log.info("no admin yet: create the first with the setup secret", extra={"file": str(secret_file)})
        await stop.wait()
        _log.info("stopping")


def _start_loops(
    loops: Tasks,
    ground: Ground,
    *,
    people: People,
    nodes: NodeParts,
    domains: DomainParts,
    deploying: Deploying,
    images: Images,
    jobs: JobParts,
) -> None:
    settings, feed, clock = ground.settings, ground.feed, ground.clock
    registry_loop = RegistryLoop(
        images.upkeep,
        clock=clock,
        sweep_seconds=settings.registry_sweep_seconds,
        collect_seconds=settings.registry_collect_seconds,
    )
    credential_loop = CredentialLoop(identities=people.identities, sessions=people.sessions, clock=clock)
    loops.start("credentials", credential_loop.run())
    audit_duty = AuditDuty(refusals=people.refusals, trail=people.audit_trail, clock=clock)
    loops.start("audit", audit_duty.run())
    loops.start("links", nodes.links.run())
    loops.start("heartbeats", nodes.heartbeats.run())
    deployment_kinds = ("deployment", "report", "node", "service")
    deployment_duty = StepDuty("deployment", steps=deploying.steps, kinds=deployment_kinds, feed=feed, clock=clock)
    loops.start("deployments", deployment_duty.run())
    run_duty = StepDuty("job_run", steps=jobs.steps, kinds=("job_run", "report", "node"), feed=feed, clock=clock)
    loops.start("job runs", run_duty.run())
    loops.start("jobs", JobDuty(schedule=jobs.schedule, retention=jobs.retention, clock=clock).run())
    loops.start("reconcile", ReconcileDuty(upkeep=deploying.upkeep, feed=feed, clock=clock).run())
    autoscale_duty = AutoscaleDuty(
        autoscaling=deploying.autoscaling, clock=clock, tick_seconds=settings.autoscale_seconds
    )
    loops.start("autoscale", autoscale_duty.run())
    loops.start("waking", WakingDuty(waking=deploying.waking, feed=feed, clock=clock).run())
    loops.start("certificates", CertificateDuty(certificates=domains.certificates, feed=feed, clock=clock).run())
    loops.start("retention", RetentionDuty(uploads=deploying.uploads, clock=clock).run())
    loops.start("registry", registry_loop.run())


def _make_v1(
    ground: Ground,
    *,
    people: People,
    nodes: NodeParts,
    domains: DomainParts,
    deploying: Deploying,
    images: Images,
    consoles: ConsoleParts,
    jobs: JobParts,
    observing: Observing,
) -> Surface:
    settings = ground.settings
    viewing = make_viewing(
        ground.database,
        deploying,
        nodes=nodes.nodes,
        reports=nodes.reports,
        fleet=nodes.fleet,
        directory=nodes.directory,
        agents=nodes.agents,
    )
    return make_surface(
        Operations(
            platform=Platform(reports=nodes.reports, control_domain=control_domain_of(settings)),
            sessions=people.sessions,
            audit_trail=people.audit_trail,
            users=people.users,
            tokens=people.tokens,
            projects=people.projects,
            members=people.members,
            services=people.services,
            domains=domains.domains,
            certificates=domains.certificates,
            ingress=domains.ingress,
            git_credentials=people.git_credentials,
            external_registries=people.external_registries,
            nodes=nodes.nodes,
            node_views=viewing.node_views,
            workloads=viewing.workloads,
            enrolment=nodes.enrolment,
            uploads=deploying.uploads,
            deployments=deploying.deployments,
            actions=deploying.actions,
            jobs=jobs.jobs,
            job_runs=jobs.runs,
            logs=observing.logs,
            metrics=observing.metrics,
            requests=observing.requests,
            consoles=consoles.consoles,
            console_connections=consoles.connections,
            console_ping_seconds=consoles.ping_seconds,
            clock=ground.clock,
            registry=images.registry,
            registry_upkeep=images.upkeep,
            image_caches=make_image_caches(
                settings,
                database=ground.database,
                nodes=nodes.store,
                agents=nodes.agents,
                audit=ground.audit,
                clock=ground.clock,
            ),
        ),
        auth=BearerAuth(people.identities),
        throttle=make_throttle(settings.requests_per_minute, clock=ground.clock),
        watch_callers=people.identities.watch_changes,
        note_forbidden=people.refusals.note_forbidden,
    )
