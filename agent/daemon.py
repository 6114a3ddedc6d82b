"""Builds every part of the agent, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from agent.api.builds import Builds
from agent.api.challenges import Challenges
from agent.api.registry import RegistryRelay
from agent.api.surface import make_control_surface, make_loopback_surface
from agent.core.convergence import Convergence
from agent.core.enrolment import Enrolment
from agent.core.link import Link
from agent.core.observations import NodeObservations
from agent.core.requests import RecentRequests
from agent.core.specs import Specs
from agent.core.works import Works
from agent.host.contexts import ContextFiles
from agent.host.control import ControlCalls
from agent.host.docker.engine import DockerEngine
from agent.host.haproxy.access_log import AccessLogReader
from agent.host.haproxy.config import HaproxyPaths, HaproxySettings
from agent.host.haproxy.driver import HaproxyIngress
from agent.host.identity_files import IdentityFiles
from agent.host.link import LinkDialer
from agent.host.probe import HttpProbe
from agent.host.registry_upstream import RegistryUpstream
from agent.host.spec_file import DiskSpecFile
from agent.loops.renewal import Renewal
from agent.loops.watcher import Watcher
from agent.model.identity import Identity
from agent.rules.containers import name_network
from agent.settings import Settings
from kit.archive.limits import Limits
from kit.clock import SystemClock
from kit.http.server import Server
from kit.ids import SystemIds
from kit.lifecycle import settle_memory
from kit.tasks import Tasks
from wire.spec import Challenge

_log = logging.getLogger(__name__)

_LOOPBACK: Final = "127.0.0.1"


async def run_agent(settings: Settings, *, version: str, stop: asyncio.Event) -> None:
    """Run the node's agent until `stop` is set; raises NotEnrolled before anything is started.

    Containers and ingress go on as they are when it ends.
    """
    clock = SystemClock()
    files = IdentityFiles(settings.data_dir / "identity")
    control = ControlCalls(files, timeout_seconds=settings.dial_timeout_seconds)
    enrolment = Enrolment(files, control, clock=clock)
    identity = await enrolment.load()
    async with AsyncExitStack() as stack:
        await _start(stack, settings, version=version, files=files, enrolment=enrolment, identity=identity)
        settle_memory()
        _log.info("agent started", extra={"node": identity.name, "node_id": identity.node_id, "version": version})
        await stop.wait()
        _log.info("agent stops")


async def _start(
    stack: AsyncExitStack,
    settings: Settings,
    *,
    version: str,
    files: IdentityFiles,
    enrolment: Enrolment,
    identity: Identity,
) -> None:
    clock, ids = SystemClock(), SystemIds()
    registry = f"{_LOOPBACK}:{settings.loopback_port}"
    registry_login = ("node", ids.new_secret())

    engine = DockerEngine(
        settings.docker_socket,
        identity.node_id,
        clock=clock,
        log_max_bytes=settings.log_max_bytes,
        log_files=settings.log_max_files,
        threads=settings.engine_threads,
    )
    stack.push_async_callback(engine.close)
    ingress = make_ingress(settings, clock=clock)
    await ingress.prepare()
    requests = RecentRequests(settings.requests_kept)
    access_log = AccessLogReader(make_haproxy_paths(settings).access_log_socket, requests.add, clock=clock)
    await access_log.open()
    stack.push_async_callback(access_log.close)

    probe = HttpProbe()
    stack.push_async_callback(probe.close)
    convergence = Convergence(
        engine,
        ingress,
        specs=Specs(DiskSpecFile(settings.data_dir / "spec.json"), node_id=identity.node_id),
        probe=probe,
        clock=clock,
        node_id=identity.node_id,
        network=name_network(identity.node_id),
        registry_port=settings.loopback_port,
        registry_login=registry_login,
    )

    tasks = Tasks("agent")
    stack.push_async_callback(tasks.close)
    contexts = ContextFiles(
        settings.data_dir / "contexts",
        limits=Limits(uncompressed_bytes=settings.context_max_bytes),
        compressed_bytes=settings.context_max_bytes,
    )
    await contexts.clear()
    works = Works(
        engine=engine,
        contexts=contexts,
        tasks=tasks,
        clock=clock,
        node_id=identity.node_id,
        registry=registry,
        registry_login=registry_login,
        builds_at_once=settings.builds_at_once,
    )

    upstream = RegistryUpstream(settings.control_url or identity.control_url, context=await files.make_client_context())
    await upstream.start()
    stack.push_async_callback(upstream.close)

    def challenges() -> tuple[Challenge, ...]:
        return convergence.spec.challenges if convergence.spec else ()

    loopback = Server(
        [
            make_loopback_surface(
                *Challenges(challenges).routes(), *RegistryRelay(upstream, login=registry_login).routes()
            )
        ],
        host=_LOOPBACK,
        port=settings.loopback_port,
        ids=ids,
        tasks=tasks,
    )
    await _serve(stack, loopback, grace_seconds=settings.stop_grace_seconds)
    dialled = Server(
        [make_control_surface(*Builds(works, clock=clock).routes())],
        host=settings.listen_host,
        port=settings.listen_port,
        ids=ids,
        tasks=tasks,
        ssl=await files.make_server_context(),
    )
    await _serve(stack, dialled, grace_seconds=settings.stop_grace_seconds)

    link = Link(
        LinkDialer(
            files, clock=clock, timeout_seconds=settings.dial_timeout_seconds, control_url=settings.control_url or None
        ),
        NodeObservations(convergence),
        convergence,
        clock=clock,
        jitter=random.random,
        agent_version=version,
        retry_least_seconds=settings.retry_least_seconds,
        retry_most_seconds=settings.retry_most_seconds,
    )
    convergence.attach(notice=link.notice, tell=link.tell)
    duties: dict[str, Callable[[], Awaitable[None]]] = {
        "convergence": convergence.run,
        "events": Watcher(engine, convergence, clock).run,
        "link": link.run,
        "renewal": Renewal(enrolment, clock).run,
    }
    for name, duty in duties.items():
        tasks.start(name, _keep(duty))


def make_haproxy_paths(settings: Settings) -> HaproxyPaths:
    """Where the proxy's files and sockets are."""
    return HaproxyPaths(state=settings.haproxy_dir.absolute(), run=settings.haproxy_run_dir.absolute())


def make_ingress(settings: Settings, *, clock: SystemClock) -> HaproxyIngress:
    """The driver of the proxy on this machine."""
    return HaproxyIngress(
        make_haproxy_paths(settings),
        HaproxySettings(
            http_bind=f"*:{settings.http_port}",
            https_bind=f"*:{settings.https_port}",
            agent_port=settings.loopback_port,
            group=settings.haproxy_group or None,
        ),
        clock=clock,
        pool_size=settings.haproxy_pool,
    )


async def _serve(stack: AsyncExitStack, server: Server, *, grace_seconds: float) -> None:
    await server.start()
    stack.push_async_callback(server.stop, grace_seconds)


async def _keep(duty: Callable[[], Awaitable[None]]) -> None:
    await duty()


async def enrol(settings: Settings, *, word: str, host_name: str) -> Identity:
    """Make this machine a node by a join token."""
    files = IdentityFiles(settings.data_dir / "identity")
    control = ControlCalls(files, timeout_seconds=settings.dial_timeout_seconds)
    return await Enrolment(files, control, clock=SystemClock()).enrol(
        word,
        name=settings.name or host_name,
        port=settings.listen_port,
        address=settings.advertise_address or None,
    )


async def prepare_ingress(settings: Settings) -> Path:
    """Write the files that the proxy starts from, and return their folder."""
    await make_ingress(settings, clock=SystemClock()).prepare()
    return settings.haproxy_dir
