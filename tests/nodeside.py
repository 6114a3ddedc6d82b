"""A node side on loopback, whole and real: TLS, a database, enrolment, links; and agents' ends that dial it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.core.enrolment import Enrolment as AgentEnrolment
from agent.core.link import Link
from agent.host.control import ControlCalls
from agent.host.identity_files import IdentityFiles
from agent.host.link import LinkDialer
from controld.api.nodeside.auth import NodeAuth
from controld.api.nodeside.surface import make_surface
from controld.core.audit import Audit
from controld.core.authority import Authority
from controld.core.certificate_keys import CertificateKeys
from controld.core.enrolment import Enrolment
from controld.core.fleet import Fleet
from controld.core.link import Links
from controld.core.node_directory import NodeDirectory
from controld.core.node_specs import NodeSpecs
from controld.core.nodes import Nodes
from controld.core.reports import Reports
from controld.core.scale_notes import ScaleNotes
from controld.core.waking import Waking
from controld.loops.heartbeat import Heartbeats
from controld.model.caller import SETUP_CALLER
from controld.store.audit import AuditStore
from controld.store.authority_files import AuthorityFiles
from controld.store.deployment_logs import DeploymentLogStore
from controld.store.engine import Database
from controld.store.facts import FactStore
from controld.store.launches import LaunchStore
from controld.store.node_reports import NodeReportStore
from controld.store.node_specs import NodeSpecStore
from controld.store.nodes import JoinTokenStore, NodeStore
from controld.store.replicas import ReplicaStore
from kit.clock import SystemClock
from kit.http.server import Server
from kit.ids import SystemIds
from kit.tasks import Tasks
from tests.fakes.control import FakeObservations, FakeSpecSink
from tests.fakes.secrets import FakeSecrets
from wire.control.enrolment import JoinToken, decode_join_token

BEAT_SECONDS = 0.4


class MovableClock(SystemClock):
    """The machine's clock, moved by `offset`; what sleeps is not woken by a move."""

    def __init__(self) -> None:
        self.offset = dt.timedelta()

    def now(self) -> dt.datetime:
        return super().now() + self.offset


@dataclasses.dataclass
class NodeSide:
    """Every part of a running node side."""

    database: Database
    clock: MovableClock
    authority: Authority
    authority_files: AuthorityFiles
    enrolment: Enrolment
    directory: NodeDirectory
    specs: NodeSpecs
    reports: Reports
    nodes: Nodes
    links: Links
    port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def token(self, *, node_id: str | None = None) -> str:
        """A fresh join token."""
        issued = await self.enrolment.create_token(SETUP_CALLER, node_id=node_id)
        return issued.token

    async def secret(self) -> JoinToken:
        """What a fresh join token says."""
        return decode_join_token(await self.token())


@dataclasses.dataclass
class AgentSide:
    """A machine: its identity on disk, and its end of the link once `linked`."""

    files: IdentityFiles
    control: ControlCalls
    enrolment: AgentEnrolment
    observations: FakeObservations
    sink: FakeSpecSink
    clock: MovableClock

    def link(self, *, control_url: str | None = None) -> Link:
        """The agent's link, not running yet."""
        return Link(
            LinkDialer(self.files, clock=self.clock, timeout_seconds=2, control_url=control_url),
            self.observations,
            self.sink,
            clock=self.clock,
            jitter=lambda: 0.0,
            agent_version="test",
            retry_least_seconds=0.05,
            retry_most_seconds=0.2,
        )

    @asynccontextmanager
    async def linked(self, *, control_url: str | None = None) -> AsyncIterator[Link]:
        """The link, kept meanwhile."""
        tasks = Tasks("agent")
        link = self.link(control_url=control_url)
        tasks.start("link", link.run())
        try:
            yield link
        finally:
            await tasks.close()


def make_agent(folder: Path) -> AgentSide:
    """A machine that has not enrolled."""
    clock = MovableClock()
    files = IdentityFiles(folder)
    control = ControlCalls(files, timeout_seconds=5)
    enrolment = AgentEnrolment(files, control, clock=clock)
    return AgentSide(files, control, enrolment, FakeObservations(), FakeSpecSink(), clock)


@asynccontextmanager
async def node_side(
    database: Database, folder: Path, *, port: int = 0, lost_seconds: float = 60.0
) -> AsyncIterator[NodeSide]:
    """A node side with its authority in the folder, stopped afterwards."""
    clock, ids, feed, store = MovableClock(), SystemIds(), database.feed, NodeStore()
    files = AuthorityFiles(folder)
    authority = Authority(files, database=database, facts=FactStore(), clock=clock, hosts=("127.0.0.1",))
    await authority.open()
    directory = NodeDirectory(database=database, store=store, feed=feed)
    specs = NodeSpecs(database=database, store=NodeSpecStore(), feed=feed, keys=CertificateKeys(FakeSecrets()))
    reports = Reports(database=database, store=NodeReportStore(), feed=feed, clock=clock)
    await reports.open()
    audit = Audit(AuditStore(), clock=clock, ids=ids)
    nodes = Nodes(database=database, store=store, reports=reports, audit=audit, clock=clock)
    links = Links(
        nodes=nodes,
        directory=directory,
        specs=specs,
        reports=reports,
        feed=feed,
        clock=clock,
        beat_seconds=BEAT_SECONDS,
        heartbeats_per_second=2000,
    )
    duty = Heartbeats(
        links=links, reports=reports, nodes=nodes, authority=authority, clock=clock, lost_seconds=lost_seconds
    )
    server_tasks, tasks = Tasks("server"), Tasks("node side")
    listening = socket.create_server(("127.0.0.1", port))
    enrolment = Enrolment(
        authority,
        database=database,
        nodes=store,
        tokens=JoinTokenStore(),
        audit=audit,
        clock=clock,
        ids=ids,
        url=f"https://127.0.0.1:{listening.getsockname()[1]}",
        token_seconds=900,
    )
    waking = Waking(
        database=database,
        launches=LaunchStore(),
        replicas=ReplicaStore(),
        fleet=Fleet(database=database, nodes=store, reports=reports, specs=specs),
        notes=ScaleNotes(logs=DeploymentLogStore(), audit=audit, clock=clock),
    )
    surface = make_surface(
        auth=NodeAuth(directory), authority=authority, enrolment=enrolment, links=links, waking=waking
    )
    server = Server(
        [surface],
        host="127.0.0.1",
        port=port,
        ids=ids,
        tasks=server_tasks,
        ssl=await files.make_server_context(),
        listening_socket=listening,
    )
    await server.start()
    tasks.start("links", links.run())
    tasks.start("heartbeats", duty.run())
    try:
        yield NodeSide(
            database=database,
            clock=clock,
            authority=authority,
            authority_files=files,
            enrolment=enrolment,
            directory=directory,
            specs=specs,
            reports=reports,
            nodes=nodes,
            links=links,
            port=server.port,
        )
    finally:
        await links.stop()
        await server.stop(1.0)
        await tasks.close()
        await server_tasks.close()
