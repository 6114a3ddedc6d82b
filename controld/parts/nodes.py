"""The parts that know nodes: the authority, enrolment, links, reports and the specs that nodes are given."""

from __future__ import annotations

import dataclasses
import socket
from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import urlsplit

from controld.core.authority import Authority
from controld.core.certificate_keys import CertificateKeys
from controld.core.enrolment import Enrolment
from controld.core.fleet import Fleet
from controld.core.link import Links
from controld.core.node_directory import NodeDirectory
from controld.core.node_specs import NodeSpecs
from controld.core.nodes import Nodes
from controld.core.reports import Reports
from controld.gateways.agents import AgentCalls
from controld.loops.heartbeat import Heartbeats
from controld.parts.control_domain import control_domain_of, leading_label_of, make_control_locator
from controld.parts.ground import Ground
from controld.store.authority_files import AuthorityFiles
from controld.store.facts import FactStore
from controld.store.node_reports import NodeReportStore
from controld.store.node_specs import NodeSpecStore
from controld.store.nodes import JoinTokenStore, NodeStore

AUTHORITY_FOLDER: Final = "authority"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """Everything about nodes, and the bound socket of the node side."""

    listening_socket: socket.socket
    authority_files: AuthorityFiles
    authority: Authority
    store: NodeStore
    directory: NodeDirectory
    reports: Reports
    nodes: Nodes
    enrolment: Enrolment
    links: Links
    heartbeats: Heartbeats
    agents: AgentCalls
    fleet: Fleet
    specs: NodeSpecs
    certificate_keys: CertificateKeys


async def open_nodes(ground: Ground, *, stack: AsyncExitStack) -> NodeParts:
    """The parts, with the authority and the reports taken up; OSError passes through when the port is taken."""
    settings, database, feed = ground.settings, ground.database, ground.feed
    clock, ids, audit = ground.clock, ground.ids, ground.audit
    node_store = NodeStore()
    node_socket = socket.create_server((settings.node_listen_host, settings.node_listen_port), backlog=1024)
    stack.callback(node_socket.close)
    node_url = settings.node_url or f"https://{socket.gethostname()}:{node_socket.getsockname()[1]}"
    authority_files = AuthorityFiles(settings.data_dir / AUTHORITY_FOLDER)
    authority = Authority(
        authority_files,
        database=database,
        facts=FactStore(),
        clock=clock,
        hosts=(urlsplit(node_url).hostname or "localhost",),
    )
    await authority.open()
    directory = NodeDirectory(database=database, store=node_store, feed=feed)
    certificate_keys = CertificateKeys(ground.secrets)
    specs = NodeSpecs(
        database=database,
        store=NodeSpecStore(),
        feed=feed,
        keys=certificate_keys,
        control_domain=control_domain_of(settings),
        locate_control=make_control_locator(settings),
        allow_private_registries=settings.allow_private_registries,
        leading_label=leading_label_of(settings),
    )
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
    agents = AgentCalls(await authority_files.make_client_context())
    stack.push_async_callback(agents.close)
    return NodeParts(
        listening_socket=node_socket,
        authority_files=authority_files,
        authority=authority,
        store=node_store,
        directory=directory,
        reports=reports,
        nodes=nodes,
        enrolment=enrolment,
        links=links,
        heartbeats=heartbeats,
        agents=agents,
        fleet=Fleet(database=database, nodes=node_store, reports=reports, specs=specs),
        specs=specs,
        certificate_keys=certificate_keys,
    )
