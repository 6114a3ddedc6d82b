"""Consoles of services: which replicas have one, tickets for them, and who is let in."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import AsyncGenerator, Collection
from typing import Final

from controld.core.console_rooms import ConsoleRooms
from controld.core.faults import (
    ConsoleNotFound,
    NoPromotedDeployment,
    OriginRefused,
    ReplicaNotRunning,
    TicketRefused,
    TranscriptNotFound,
)
from controld.core.identities import Identities, hash_token
from controld.core.node_directory import NodeDirectory
from controld.core.places import Places
from controld.core.ports import Database, NodeReports
from controld.core.ports_consoles import ConsoleStore, ConsoleTicketStore, TranscriptFiles
from controld.core.ports_deployments import AuditTrail
from controld.core.services import Services
from controld.model.caller import Caller
from controld.model.console import (
    Admission,
    Console,
    ConsoleAsked,
    ConsoleReplica,
    ConsoleTerms,
    ConsoleTicket,
    IssuedTicket,
)
from controld.model.node import NodeState
from controld.model.page import Page, Paged
from controld.model.replica import PlacedReplica
from controld.model.service import Service
from controld.rules.consoles import allows_origin, clamp_size
from kit.clock import Clock
from kit.ids import Ids
from wire.link import ReplicaState
from wire.spec import Wanted

_log = logging.getLogger(__name__)

_RUNS: Final = frozenset({ReplicaState.STARTING, ReplicaState.HEALTHY, ReplicaState.UNHEALTHY})
_AWAY: Final = frozenset({NodeState.LOST, NodeState.REMOVED})


class Consoles:
    """Gives out tickets and takes them; a console itself is `ConsoleConnections`'.

    A ticket is random, lives for seconds and is kept as its SHA-256 in the database, so that it is good once at
    whichever controld is asked. `origins` may connect besides the page's own host.
    """

    def __init__(
        self,
        *,
        database: Database,
        tickets: ConsoleTicketStore,
        consoles: ConsoleStore,
        transcripts: TranscriptFiles,
        services: Services,
        places: Places,
        directory: NodeDirectory,
        reports: NodeReports,
        identities: Identities,
        rooms: ConsoleRooms,
        audit: AuditTrail,
        clock: Clock,
        ids: Ids,
        terms: ConsoleTerms,
        origins: Collection[str],
    ) -> None:
        self._database = database
        self._tickets = tickets
        self._consoles = consoles
        self._transcripts = transcripts
        self._services = services
        self._places = places
        self._directory = directory
        self._reports = reports
        self._identities = identities
        self._rooms = rooms
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._terms = terms
        self._origins = frozenset(origins)

    async def list_replicas(self, caller: Caller, service_id: str) -> list[ConsoleReplica]:
        """The replicas of the promoted deployment that run, by index; raises NoPromotedDeployment."""
        service = await self._services.admit(caller, service_id, operation="console.open")
        return [
            replica for each in await self._list_promoted(service) if (replica := await self._describe(service, each))
        ]

    async def make_ticket(self, caller: Caller, service_id: str, asked: ConsoleAsked) -> IssuedTicket:
        """A ticket for one connection; it comes back to a console of the caller's where `asked` names one.

        Raises NoPromotedDeployment, ReplicaNotRunning and ConsoleNotFound.
        """
        service = await self._services.admit(caller, service_id, operation="console.open")
        if asked.session_id is None:
            replica = await self._find_running(service, asked.replica_index)
            session_id = self._ids.new_id()
        else:
            replica = await self._find_own(caller, service, asked)
            session_id = asked.session_id
        cols, rows = clamp_size(asked.cols, asked.rows)
        secret, now = self._ids.new_secret(), self._clock.now()
        ticket = ConsoleTicket(
            sha256=hash_token(secret),
            session_id=session_id,
            is_return=asked.session_id is not None,
            received=asked.received,
            project_id=service.project_id,
            service_id=service.id,
            deployment_id=replica.deployment_id,
            replica_id=replica.replica_id,
            replica_index=replica.index,
            node_id=replica.node_id,
            cols=cols,
            rows=rows,
            holder=caller,
            expires_at=now + dt.timedelta(seconds=self._terms.ticket_seconds),
        )
        async with self._database.write() as tx:
            await self._tickets.drop_expired(tx, now)
            await self._tickets.add(tx, ticket)
        return IssuedTicket(ticket=secret, expires_at=ticket.expires_at)

    async def admit(
        self, secret: str | None, service_id: str, *, address: str, origin: str | None, host: str
    ) -> Admission:
        """Take the ticket, and let its holder in if they may still come in and there is room; `leave` gives it back.

        The ticket is used up whatever comes of it. Raises TicketRefused, OriginRefused, ServiceNotFound, Forbidden,
        ReplicaNotRunning and TooManyConsoles.
        """
        if not secret:
            raise TicketRefused("cannot open the console: no ticket")
        async with self._database.write() as tx:
            ticket = await self._tickets.take(tx, hash_token(secret))
        if ticket is None or ticket.service_id != service_id or ticket.expires_at <= self._clock.now():
            raise TicketRefused("cannot open the console: the ticket is not good; ask for another")
        if not allows_origin(origin, host=host, more=self._origins):
            raise OriginRefused("cannot open the console: not from a page of this origin")
        holder = await self._identities.recall(dataclasses.replace(ticket.holder, address=address))
        if holder is None:
            raise TicketRefused("cannot open the console: whoever got the ticket is not signed in any more")
        await self._services.admit(holder, service_id, operation="console.open")
        node = await self._directory.find(ticket.node_id)
        if node is None or node.state is NodeState.REMOVED:
            raise ReplicaNotRunning("selected replica is not running")
        ticket = dataclasses.replace(ticket, holder=holder)
        await self._rooms.enter(ticket)
        return Admission(ticket=ticket, node=node, address=address)

    async def list_transcripts(self, caller: Caller, service_id: str, *, page: Page) -> Paged[Console]:
        """A page of the service's consoles of which a transcript is kept, newest first."""
        await self._services.admit(caller, service_id, operation="console.transcripts")
        async with self._database.read() as tx:
            found = await self._consoles.list_recorded(tx, service_id, page=page)
        return Paged.cut(found, page, id_of=lambda console: console.id)

    async def read_transcript(self, caller: Caller, service_id: str, console_id: str) -> AsyncGenerator[bytes]:
        """The pieces of a transcript; that it was read goes into the audit. Raises TranscriptNotFound."""
        service = await self._services.admit(caller, service_id, operation="console.transcripts")
        async with self._database.write() as tx:
            console = await self._consoles.get(tx, console_id)
            if console is None or console.service_id != service_id or console.transcript_bytes is None:
                raise TranscriptNotFound("transcript not found")
            await self._audit.record(
                tx,
                caller,
                action="console.transcript.read",
                object_kind="console",
                object_id=console_id,
                project_id=service.project_id,
                details={"service_id": service_id},
            )
        return self._transcripts.read(console_id)

    async def _list_promoted(self, service: Service) -> list[PlacedReplica]:
        if service.promoted_deployment_id is None:
            raise NoPromotedDeployment("service has no promoted deployment")
        return [
            replica
            for replica in await self._places.list_replicas(service.id)
            if replica.deployment_id == service.promoted_deployment_id and replica.wanted is Wanted.RUNNING
        ]

    async def _find_running(self, service: Service, index: int) -> ConsoleReplica:
        for replica in await self._list_promoted(service):
            if replica.index == index and (found := await self._describe(service, replica)):
                return found
        raise ReplicaNotRunning("selected replica is not running")

    async def _describe(self, service: Service, replica: PlacedReplica) -> ConsoleReplica | None:
        """The replica for those who choose one; None while it does not run, as far as its node has told."""
        node = await self._directory.find(replica.node_id)
        if node is None or node.state in _AWAY:
            return None
        report = await self._reports.fetch(replica.node_id)
        told = None if report is None else report.replica(replica.id)
        if told is None or told.state not in _RUNS or told.container_id is None:
            return None
        return ConsoleReplica(
            service_id=service.id,
            service_name=service.name,
            deployment_id=replica.deployment_id,
            replica_id=replica.id,
            index=replica.index,
            node_id=replica.node_id,
        )

    async def _find_own(self, caller: Caller, service: Service, asked: ConsoleAsked) -> ConsoleReplica:
        assert asked.session_id is not None
        async with self._database.read() as tx:
            console = await self._consoles.get(tx, asked.session_id)
        if (
            console is None
            or console.service_id != service.id
            or console.replica_index != asked.replica_index
            or not _is_same_person(console.holder, caller)
            or (console.ended_at is not None and console.ended_at < self._clock.now() - self._grace)
        ):
            raise ConsoleNotFound("console not found")
        return ConsoleReplica(
            service_id=service.id,
            service_name=service.name,
            deployment_id=console.deployment_id,
            replica_id=console.replica_id,
            index=console.replica_index,
            node_id=console.node_id,
        )

    @property
    def _grace(self) -> dt.timedelta:
        return dt.timedelta(seconds=self._terms.grace_seconds)


def _is_same_person(one: Caller, other: Caller) -> bool:
    return (one.kind, one.user_id) == (other.kind, other.user_id)
