"""Builds every part of the agent, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl as tls
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.api.builds import Builds
from agent.api.challenges import Challenges
from agent.api.logs import LogRows
from agent.api.metrics import MetricRows
from agent.api.registry import RegistryRelay
from agent.api.surface import make_control_surface, make_loopback_surface
from agent.core.convergence import Convergence
from agent.core.enrolment import Enrolment
from agent.core.link import Link
from agent.core.logs import Logs
from agent.core.metrics import Metrics
from agent.core.observations import NodeObservations
from agent.core.requests import RecentRequests
from agent.core.specs import Specs
from agent.core.works import Works
from agent.host.cgroup import CgroupReader
from agent.host.contexts import ContextFiles
from agent.host.control import ControlCalls
from agent.host.docker.engine import DockerEngine
from agent.host.haproxy.access_log import AccessLogReader
from agent.host.haproxy.config import HaproxyPaths, HaproxySettings
from agent.host.haproxy.driver import HaproxyIngress
from agent.host.identity_files import IdentityFiles
from agent.host.link import LinkDialer
from agent.host.node import HostReader
from agent.host.probe import HttpProbe
from agent.host.registry_upstream import RegistryUpstream
from agent.host.spec_file import DiskSpecFile
from agent.loops.janitor import Janitor
from agent.loops.renewal import Renewal
from agent.loops.sampler import Sampler
from agent.loops.watcher import Watcher
from agent.model.identity import Identity
from agent.rules.containers import name_network
from agent.settings import Settings
from kit.archive.limits import Limits
from kit.clock import SystemClock
from kit.http.server import Server
from kit.http.surface import Route, Surface
from kit.ids import SystemIds
from kit.lifecycle import settle_memory
from kit.tasks import Tasks
from wire.spec import Challenge

_log = logging.getLogger(__name__)

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """What every part of the agent is given."""

    settings: Settings
    version: str
    identity: Identity
    files: IdentityFiles
    enrolment: Enrolment
    clock: SystemClock
    ids: SystemIds
    tasks: Tasks
    stack: AsyncExitStack
    registry_login: tuple[str, str]


async def run_agent(settings: Settings, *, version: str, stop: asyncio.Event) -> None:
    """Run the node's agent until `stop` is set; raises NotEnrolled before anything is started.

    Containers and ingress go on as they are when it ends.
    """
    clock, ids = SystemClock(), SystemIds()
    files = IdentityFiles(settings.data_dir / "identity")
    control = ControlCalls(files, timeout_seconds=settings.dial_timeout_seconds)
    enrolment = Enrolment(files, control, clock=clock)
    identity = await enrolment.load()
    async with AsyncExitStack() as stack:
        tasks = Tasks("agent")
        stack.push_async_callback(tasks.close)
        node = _Node(
            settings=settings,
            version=version,
            identity=identity,
            files=files,
            enrolment=enrolment,
            clock=clock,
            ids=ids,
            tasks=tasks,
            stack=stack,
            registry_login=("node", ids.new_secret()),
        )
        await _start(node)
        settle_memory()
        _log.info("agent started", extra={"node": identity.name, "node_id": identity.node_id, "version": version})
        await stop.wait()
        _log.info("agent stops")


async def _start(node: _Node) -> None:
    engine = _open_engine(node)
    requests = RecentRequests(node.settings.requests_kept)
    ingress = await _open_ingress(node, requests)
    convergence = _make_convergence(node, engine, ingress)
    works = await _make_works(node, engine)
    logs = Logs(engine, tasks=node.tasks, clock=node.clock)
    metrics, sampler = _make_metrics(node, engine, convergence, requests)
    await _serve_loopback(node, convergence)
    await _serve_control(
        node,
        *Builds(works, clock=node.clock).routes(),
        *LogRows(logs, clock=node.clock).routes(),
        *MetricRows(metrics, requests).routes(),
    )
    link = _make_link(node, convergence, metrics)
    convergence.attach(notice=link.notice, tell=link.tell)
    node.tasks.start("convergence", convergence.run())
    listeners = [convergence.note_event, logs.note_event, metrics.note_event]
    node.tasks.start("events", Watcher(engine, listeners, node.clock).run())
    node.tasks.start("sampler", sampler.run())
    node.tasks.start("link", link.run())
    node.tasks.start("janitor", _make_janitor(node, engine, convergence).run())
    node.tasks.start("renewal", Renewal(node.enrolment, node.clock).run())


def _open_engine(node: _Node) -> DockerEngine:
    settings = node.settings
    engine = DockerEngine(
        settings.docker_socket,
        node.identity.node_id,
        clock=node.clock,
        log_max_bytes=settings.log_max_bytes,
        log_files=settings.log_max_files,
        threads=settings.engine_threads,
    )
    node.stack.push_async_callback(engine.close)
    return engine


async def _open_ingress(node: _Node, requests: RecentRequests) -> HaproxyIngress:
    ingress = make_ingress(node.settings, clock=node.clock)
    await ingress.prepare()
    socket = make_haproxy_paths(node.settings).access_log_socket
    access_log = AccessLogReader(socket, requests.add, clock=node.clock, group=node.settings.haproxy_group or None)
    await access_log.open()
    node.stack.push_async_callback(access_log.close)
    return ingress


def _make_convergence(node: _Node, engine: DockerEngine, ingress: HaproxyIngress) -> Convergence:
    probe = HttpProbe()
    node.stack.push_async_callback(probe.close)
    node_id = node.identity.node_id
    return Convergence(
        engine,
        ingress,
        specs=Specs(DiskSpecFile(node.settings.data_dir / "spec.json"), node_id=node_id),
        probe=probe,
        clock=node.clock,
        node_id=node_id,
        network=name_network(node_id),
        registry_port=node.settings.loopback_port,
        registry_login=node.registry_login,
    )


async def _make_works(node: _Node, engine: DockerEngine) -> Works:
    settings = node.settings
    contexts = ContextFiles(
        settings.data_dir / "contexts",
        limits=Limits(uncompressed_bytes=settings.context_max_bytes),
        compressed_bytes=settings.context_max_bytes,
    )
    await contexts.clear()
    return Works(
        engine=engine,
        contexts=contexts,
        tasks=node.tasks,
        clock=node.clock,
        node_id=node.identity.node_id,
        registry=f"{_LOOPBACK}:{settings.loopback_port}",
        registry_login=node.registry_login,
        builds_at_once=settings.builds_at_once,
    )


def _make_metrics(
    node: _Node, engine: DockerEngine, convergence: Convergence, requests: RecentRequests
) -> tuple[Metrics, Sampler]:
    settings = node.settings
    cgroups = CgroupReader(proc_dir=settings.proc_dir, cgroup_dir=settings.cgroup_dir, clock=node.clock)
    node.stack.push_async_callback(cgroups.close)
    metrics = Metrics(
        engine,
        cgroups,
        HostReader(proc_dir=settings.proc_dir, disk_path=settings.disk_path, clock=node.clock),
        spec=lambda: convergence.spec,
    )
    sampler = Sampler(
        metrics,
        requests,
        spec=lambda: convergence.spec,
        clock=node.clock,
        sample_seconds=settings.sample_seconds,
    )
    return metrics, sampler


def _make_janitor(node: _Node, engine: DockerEngine, convergence: Convergence) -> Janitor:
    settings = node.settings
    return Janitor(
        engine,
        spec=lambda: convergence.spec,
        clock=node.clock,
        node_id=node.identity.node_id,
        registry_port=settings.loopback_port,
        kept=settings.images_kept,
        idle_seconds=settings.images_idle_seconds,
        pace_seconds=settings.images_sweep_seconds,
    )


async def _serve_loopback(node: _Node, convergence: Convergence) -> None:
    upstream = RegistryUpstream(
        node.settings.control_url or node.identity.control_url, context=await node.files.make_client_context()
    )
    await upstream.start()
    node.stack.push_async_callback(upstream.close)

    def challenges() -> tuple[Challenge, ...]:
        return convergence.spec.challenges if convergence.spec else ()

    surface = make_loopback_surface(
        *Challenges(challenges).routes(), *RegistryRelay(upstream, login=node.registry_login).routes()
    )
    await _serve(node, surface, host=_LOOPBACK, port=node.settings.loopback_port)


async def _serve_control(node: _Node, *routes: Route) -> None:
    surface = make_control_surface(*routes)
    context = await node.files.make_server_context()
    await _serve(node, surface, host=node.settings.listen_host, port=node.settings.listen_port, ssl=context)


async def _serve(node: _Node, surface: Surface, *, host: str, port: int, ssl: tls.SSLContext | None = None) -> None:
    server = Server([surface], host=host, port=port, ids=node.ids, tasks=node.tasks, ssl=ssl)
    await server.start()
    node.stack.push_async_callback(server.stop, node.settings.stop_grace_seconds)


def _make_link(node: _Node, convergence: Convergence, metrics: Metrics) -> Link:
    settings = node.settings
    dialer = LinkDialer(
        node.files,
        clock=node.clock,
        timeout_seconds=settings.dial_timeout_seconds,
        control_url=settings.control_url or None,
    )
    return Link(
        dialer,
        NodeObservations(convergence, host=lambda: metrics.host),
        convergence,
        clock=node.clock,
        jitter=random.random,
        agent_version=node.version,
        retry_least_seconds=settings.retry_least_seconds,
        retry_most_seconds=settings.retry_most_seconds,
    )


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
            user=settings.haproxy_user or None,
            group=settings.haproxy_group or None,
        ),
        clock=clock,
        pool_size=settings.haproxy_pool,
    )


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
