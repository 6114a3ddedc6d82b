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
from controld.loops.credentials import CredentialLoop
from controld.loops.deployments import DeploymentDuty
from controld.loops.reconcile import ReconcileDuty
from controld.loops.registry import RegistryLoop
from controld.loops.retention import RetentionDuty
from controld.parts.deploying import Deploying, open_deploying
from controld.parts.ground import Ground, open_ground
from controld.parts.images import Images, open_images
from controld.parts.nodes import NodeParts, open_nodes
from controld.parts.observing import make_observing
from controld.parts.people import SETUP_SECRET_FILE, People, open_people
from controld.settings import Settings
from kit.http.server import Server
from kit.http.surface import Surface
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
        deploying = await open_deploying(ground, nodes, stack=stack)
        images = await open_images(ground, stack=stack)

        loops = Tasks("loops")
        stack.push_async_callback(loops.close)
        _start_loops(loops, ground, people=people, nodes=nodes, deploying=deploying, images=images)

        make_images = partial(
            make_registry,
            images.registry,
            images.uploads,
            max_manifest_bytes=settings.registry_max_manifest_bytes,
        )
        node_auth = NodeAuth(nodes.directory)
        nodeside = make_nodeside(
            auth=node_auth, authority=nodes.authority, enrolment=nodes.enrolment, links=nodes.links
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
        )
        await node_listener.start()
        stack.push_async_callback(node_listener.stop, settings.stop_grace_seconds)

        v1 = _make_v1(ground, people=people, nodes=nodes, deploying=deploying, images=images)
        listener = PublicListener(
            [v1, make_images(authenticate=TokenAuth(people.identities.recognise).authenticate)],
            host=settings.listen_host,
            port=settings.listen_port,
            is_claimed=people.users.is_initialised,
            feed=ground.feed,
            ids=ground.ids,
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
    loops: Tasks, ground: Ground, *, people: People, nodes: NodeParts, deploying: Deploying, images: Images
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
    loops.start("links", nodes.links.run())
    loops.start("heartbeats", nodes.heartbeats.run())
    loops.start("deployments", DeploymentDuty(steps=deploying.steps, feed=feed, clock=clock).run())
    loops.start("reconcile", ReconcileDuty(upkeep=deploying.upkeep, feed=feed, clock=clock).run())
    loops.start("retention", RetentionDuty(uploads=deploying.uploads, clock=clock).run())
    loops.start("registry", registry_loop.run())


def _make_v1(ground: Ground, *, people: People, nodes: NodeParts, deploying: Deploying, images: Images) -> Surface:
    settings = ground.settings
    control_domain = None if settings.control_domain is None else settings.control_domain.lower()
    observing = make_observing(ground, people=people, nodes=nodes)
    return make_surface(
        Operations(
            platform=Platform(reports=nodes.reports, control_domain=control_domain),
            sessions=people.sessions,
            users=people.users,
            tokens=people.tokens,
            projects=people.projects,
            members=people.members,
            services=people.services,
            nodes=nodes.nodes,
            enrolment=nodes.enrolment,
            uploads=deploying.uploads,
            deployments=deploying.deployments,
            actions=deploying.actions,
            logs=observing.logs,
            metrics=observing.metrics,
            requests=observing.requests,
            clock=ground.clock,
            registry=images.registry,
            registry_upkeep=images.upkeep,
        ),
        auth=BearerAuth(people.identities),
        throttle=make_throttle(settings.requests_per_minute, clock=ground.clock),
    )
