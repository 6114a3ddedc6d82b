"""Builds every part of the agent, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl as tls
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.api.activity import ActivityRows
from agent.api.builds import Builds
from agent.api.challenges import Challenges
from agent.api.consoles import ConsoleRows
from agent.api.exposition import ExpositionRows
from agent.api.images import ImageRows
from agent.api.logs import LogRows
from agent.api.metrics import MetricRows
from agent.api.registry import RegistryRelay
from agent.api.surface import make_control_surface, make_loopback_surface
from agent.core.activity import Activities
from agent.core.consoles import Consoles
from agent.core.convergence import Convergence
from agent.core.enrolment import Enrolment
from agent.core.images import Images
from agent.core.job_runs import JobRuns
from agent.core.link import Link
from agent.core.metrics import Metrics
from agent.core.observations import NodeObservations
from agent.core.requests import RecentRequests
from agent.core.specs import Specs
from agent.core.works import Works
from agent.host.console_files import ConsoleFiles
from agent.host.contexts import ContextFiles
from agent.host.control import ControlCalls
from agent.host.docker.engine import DockerEngine
from agent.host.git.repositories import GitRepositories
from agent.host.haproxy.access_log import AccessLogReader
from agent.host.haproxy.config import HaproxyPaths, HaproxySettings
from agent.host.haproxy.driver import HaproxyIngress
from agent.host.identity_files import IdentityFiles
from agent.host.job_run_notes import DiskNotes
from agent.host.link import LinkDialer
from agent.host.probe import HttpProbe
from agent.host.processes import ProcessTable
from agent.host.registry_upstream import RegistryUpstream
from agent.host.spec_file import DiskSpecFile
from agent.loops.renewal import Renewal
from agent.loops.watcher import Watcher
from agent.model.identity import Identity
from agent.parts.exposition import open_exposition
from agent.parts.images import open_images
from agent.parts.instruments import open_instruments
from agent.parts.logs import open_logs
from agent.parts.waking import open_waking
from agent.rules.containers import name_network
from agent.settings import Settings
from kit.archive.limits import Limits
from kit.clock import SystemClock
from kit.http.server import Server
from kit.http.surface import Route, Surface
from kit.http.tally import Tally
from kit.ids import SystemIds
from kit.lifecycle import settle_memory
from kit.tasks import Tasks
from wire.spec import Challenge

if TYPE_CHECKING:
    from agent.host.doctor import NodeDoctor

_log = logging.getLogger(__name__)

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """What every part of the agent is given."""

    settings: Settings
    version: str
    identity: Identity
    control: ControlCalls
    files: IdentityFiles
    enrolment: Enrolment
    clock: SystemClock
    ids: SystemIds
    tasks: Tasks
    stack: AsyncExitStack
    registry_login: tuple[str, str]
    tally: Tally


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
            control=control,
            files=files,
            enrolment=enrolment,
            clock=clock,
            ids=ids,
            tasks=tasks,
            stack=stack,
            registry_login=("node", ids.new_secret()),
            tally=Tally(),
        )
        await _start(node)
        settle_memory()
        _log.info("agent started", extra={"node": identity.name, "node_id": identity.node_id, "version": version})
        await stop.wait()
        _log.info("agent stops")


async def _start(node: _Node) -> None:
    holding = open_images(node.settings, node_id=node.identity.node_id, clock=node.clock, stack=node.stack)
    engine = holding.engine
    requests = RecentRequests(node.settings.requests_kept)
    ingress = await _open_ingress(node, requests)
    logs = await open_logs(node.settings, engine, tasks=node.tasks, clock=node.clock)
    waking = await open_waking(node.identity, node.control, settings=node.settings, clock=node.clock, stack=node.stack)
    convergence = _make_convergence(node, engine, ingress, keep_log=logs.archive.keep, waker_port=waking.port)
    waking.attach(convergence)
    works = await _make_works(node, engine, holding.images)
    holding.attach(spec=lambda: convergence.spec, in_work=works.list_references)
    instruments = open_instruments(
        node.settings,
        engine,
        spec=lambda: convergence.spec,
        requests=requests,
        clock=node.clock,
        stack=node.stack,
    )
    consoles = await _make_consoles(node, engine)
    await _serve_control(
        node,
        *ConsoleRows(consoles, clock=node.clock).routes(),
        *Builds(works, clock=node.clock).routes(),
        *LogRows(logs.logs, clock=node.clock).routes(),
        *MetricRows(instruments.metrics, requests, instruments.usage).routes(),
        *ImageRows(holding.images).routes(),
        *ActivityRows(Activities(ingress, spec=lambda: convergence.spec)).routes(),
    )
    job_runs = _make_job_runs(node, engine, convergence)
    link = _make_link(node, convergence, job_runs, instruments.metrics)
    exposition = open_exposition(
        node.settings,
        instruments,
        engine=engine,
        convergence=convergence,
        works=works,
        link=link,
        logs=logs,
        consoles=consoles,
        tally=node.tally,
        tasks=node.tasks,
        clock=node.clock,
        version=node.version,
    )
    await _serve_loopback(node, convergence, *ExpositionRows(exposition).routes())

    def notice() -> None:
        link.notice()
        job_runs.wake()

    convergence.attach(notice=notice, tell=link.tell)
    job_runs.attach(notice=link.notice)
    node.tasks.start("convergence", convergence.run())
    node.tasks.start("job runs", job_runs.run())
    listeners = [convergence.note_event, job_runs.note_event, logs.note_event, instruments.note_event]
    node.tasks.start("events", Watcher(engine, listeners, node.clock).run())
    node.tasks.start("sampler", instruments.sampler.run())
    node.tasks.start("link", link.run())
    node.tasks.start("janitor", holding.janitor.run())
    node.tasks.start("log sweeper", logs.sweeper.run())
    node.tasks.start("renewal", Renewal(node.enrolment, ingress, node.clock).run())


async def _open_ingress(node: _Node, requests: RecentRequests) -> HaproxyIngress:
    ingress = make_ingress(node.settings, clock=node.clock)
    await ingress.prepare(node.identity)
    socket = make_haproxy_paths(node.settings).access_log_socket
    access_log = AccessLogReader(socket, requests.add, clock=node.clock, group=node.settings.haproxy_group or None)
    await access_log.open()
    node.stack.push_async_callback(access_log.close)
    return ingress


def _make_convergence(
    node: _Node,
    engine: DockerEngine,
    ingress: HaproxyIngress,
    *,
    keep_log: Callable[[str], Awaitable[None]],
    waker_port: int,
) -> Convergence:
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
        keep_log=keep_log,
        waker_port=waker_port,
    )


def _make_job_runs(node: _Node, engine: DockerEngine, convergence: Convergence) -> JobRuns:
    return JobRuns(
        engine,
        DiskNotes(node.settings.data_dir / "job-runs"),
        spec=lambda: convergence.spec,
        clock=node.clock,
        node_id=node.identity.node_id,
        network=name_network(node.identity.node_id),
        registry_port=node.settings.loopback_port,
        registry_login=node.registry_login,
    )


async def _make_works(node: _Node, engine: DockerEngine, images: Images) -> Works:
    settings = node.settings
    limits = Limits(uncompressed_bytes=settings.context_max_bytes, entries=settings.context_max_entries)
    contexts = ContextFiles(settings.data_dir / "contexts", limits=limits, compressed_bytes=settings.context_max_bytes)
    await contexts.clear()
    sockets = settings.haproxy_run_dir.absolute() / "git"
    repositories = GitRepositories(sockets=sockets, clock=node.clock, limits=limits)
    await repositories.clear()
    return Works(
        engine=engine,
        contexts=contexts,
        repositories=repositories,
        tasks=node.tasks,
        clock=node.clock,
        node_id=node.identity.node_id,
        registry=f"{_LOOPBACK}:{settings.loopback_port}",
        registry_login=node.registry_login,
        builds_at_once=settings.builds_at_once,
        note=images.note,
    )


async def _make_consoles(node: _Node, engine: DockerEngine) -> Consoles:
    settings = node.settings
    consoles = Consoles(
        engine,
        engine.shells,
        processes=ProcessTable(settings.proc_dir, clock=node.clock),
        records=ConsoleFiles(settings.data_dir / "consoles"),
        clock=node.clock,
        at_once=settings.consoles_at_once,
    )
    await consoles.recover()
    node.stack.push_async_callback(consoles.close)
    return consoles


async def _serve_loopback(node: _Node, convergence: Convergence, *routes: Route) -> None:
    upstream = RegistryUpstream(
        node.settings.control_url or node.identity.control_url, context=await node.files.make_client_context()
    )
    await upstream.start()
    node.stack.push_async_callback(upstream.close)

    def challenges() -> tuple[Challenge, ...]:
        return convergence.spec.challenges if convergence.spec else ()

    surface = make_loopback_surface(
        *Challenges(challenges).routes(),
        *RegistryRelay(upstream, login=node.registry_login).routes(),
        *routes,
    )
    await _serve(node, surface, host=_LOOPBACK, port=node.settings.loopback_port)


async def _serve_control(node: _Node, *routes: Route) -> None:
    surface = make_control_surface(*routes)
    context = await node.files.make_server_context()
    await _serve(node, surface, host=node.settings.listen_host, port=node.settings.listen_port, ssl=context)


async def _serve(node: _Node, surface: Surface, *, host: str, port: int, ssl: tls.SSLContext | None = None) -> None:
    server = Server([surface], host=host, port=port, ids=node.ids, tasks=node.tasks, ssl=ssl, tally=node.tally)
    await server.start()
    node.stack.push_async_callback(server.stop, node.settings.stop_grace_seconds)


def _make_link(node: _Node, convergence: Convergence, job_runs: JobRuns, metrics: Metrics) -> Link:
    settings = node.settings
    dialer = LinkDialer(
        node.files,
        clock=node.clock,
        timeout_seconds=settings.dial_timeout_seconds,
        control_url=settings.control_url or None,
    )
    return Link(
        dialer,
        NodeObservations(convergence, job_runs, host=lambda: metrics.host),
        convergence,
        clock=node.clock,
        jitter=random.random,
        agent_version=node.version,
        peer_port=settings.peer_port or None,
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
            https_bind=f"*:{settings.https_port}" if settings.https_port else None,
            peer_bind=f"*:{settings.peer_port}" if settings.peer_port else None,
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
    identity = await IdentityFiles(settings.data_dir / "identity").read()
    await make_ingress(settings, clock=SystemClock()).prepare(identity)
    return settings.haproxy_dir


def make_doctor(settings: Settings, *, deadline_seconds: float) -> NodeDoctor:
    """The checks of this machine as a node under these settings."""
    from agent.host.doctor import NodeDoctor

    return NodeDoctor(
        data_dir=settings.data_dir,
        cgroup_dir=settings.cgroup_dir,
        proc_dir=settings.proc_dir,
        docker_socket=settings.docker_socket,
        haproxy_binary=settings.haproxy_binary,
        haproxy_paths=make_haproxy_paths(settings),
        proxy_ports={
            settings.http_port: "user traffic",
            settings.https_port: "user traffic",
            settings.peer_port: "other nodes hand requests over",
        },
        listen_port=settings.listen_port,
        loopback_port=settings.loopback_port,
        control_url=settings.control_url,
        clock=SystemClock(),
        deadline_seconds=deadline_seconds,
    )
