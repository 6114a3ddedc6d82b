"""The parts of consoles."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from typing import Final

from controld.core.audit import Audit
from controld.core.console_connections import ConsoleConnections
from controld.core.console_ledger import ConsoleLedger
from controld.core.console_rooms import ConsoleRooms
from controld.core.consoles import Consoles
from controld.core.identities import Identities
from controld.core.node_directory import NodeDirectory
from controld.core.places import Places
from controld.core.ports import NodeReports
from controld.core.ports_consoles import ConsoleAgents
from controld.core.services import Services
from controld.model.console import ConsoleTerms
from controld.parts.ground import Ground
from controld.parts.nodes import NodeParts
from controld.parts.people import People
from controld.settings import Settings
from controld.store.consoles import ConsoleStore, ConsoleTicketStore
from controld.store.engine import Database
from controld.store.replicas import ReplicaStore
from controld.store.transcript_files import TranscriptFiles
from kit.clock import Clock
from kit.ids import Ids

TRANSCRIPTS_FOLDER: Final = "transcripts"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """What gives out tickets, keeps connections and writes down how it went."""

    consoles: Consoles
    connections: ConsoleConnections
    ledger: ConsoleLedger
    rooms: ConsoleRooms
    transcripts: TranscriptFiles
    ping_seconds: float


def make_terms(settings: Settings) -> ConsoleTerms:
    """How long consoles may last and how many there may be."""
    return ConsoleTerms(
        at_once=settings.consoles_at_once,
        per_service=settings.consoles_per_service,
        ticket_seconds=settings.console_ticket_seconds,
        grace_seconds=settings.console_grace_seconds,
        idle_seconds=settings.console_idle_seconds,
        limit_seconds=settings.console_limit_seconds,
        ping_seconds=settings.console_ping_seconds,
    )


def open_consoles(ground: Ground, *, people: People, nodes: NodeParts, stack: AsyncExitStack) -> ConsoleParts:
    """The parts over the nodes' agents; the stack lets go of every console."""
    parts = make_consoles(
        ground.settings,
        database=ground.database,
        agents=nodes.agents,
        directory=nodes.directory,
        reports=nodes.reports,
        identities=people.identities,
        services=people.services,
        audit=ground.audit,
        clock=ground.clock,
        ids=ground.ids,
    )
    stack.push_async_callback(parts.rooms.close)
    stack.push_async_callback(parts.connections.close)
    return parts


def make_consoles(
    settings: Settings,
    *,
    database: Database,
    agents: ConsoleAgents,
    directory: NodeDirectory,
    reports: NodeReports,
    identities: Identities,
    services: Services,
    audit: Audit,
    clock: Clock,
    ids: Ids,
) -> ConsoleParts:
    """The parts over these."""
    terms, store = make_terms(settings), ConsoleStore()
    folder = settings.console_transcripts_dir or settings.data_dir / TRANSCRIPTS_FOLDER
    transcripts = TranscriptFiles(folder, max_bytes=settings.console_transcript_max_bytes, clock=clock)
    rooms = ConsoleRooms(agents=agents, directory=directory, clock=clock, terms=terms)
    ledger = ConsoleLedger(
        database=database,
        consoles=store,
        transcripts=transcripts,
        agents=agents,
        directory=directory,
        audit=audit,
        clock=clock,
        terms=terms,
        keep_days=settings.console_keep_days,
    )
    connections = ConsoleConnections(
        agents=agents,
        ledger=ledger,
        rooms=rooms,
        identities=identities,
        services=services,
        transcripts=transcripts if settings.console_transcripts else None,
        clock=clock,
        terms=terms,
    )
    consoles = Consoles(
        database=database,
        tickets=ConsoleTicketStore(),
        consoles=store,
        transcripts=transcripts,
        services=services,
        places=Places(database=database, replicas=ReplicaStore(), directory=directory),
        directory=directory,
        reports=reports,
        identities=identities,
        rooms=rooms,
        audit=audit,
        clock=clock,
        ids=ids,
        terms=terms,
        origins=(*settings.console_origins, *([settings.control_domain.lower()] if settings.control_domain else [])),
    )
    return ConsoleParts(
        consoles=consoles,
        connections=connections,
        ledger=ledger,
        rooms=rooms,
        transcripts=transcripts,
        ping_seconds=terms.ping_seconds,
    )
