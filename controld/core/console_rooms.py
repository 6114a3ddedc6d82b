"""How many consoles there are here, and which of them give way to new ones."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from controld.core.faults import NodeFault, NodeOffline, TooManyConsoles
from controld.core.node_directory import NodeDirectory
from controld.core.ports_consoles import ConsoleAgents
from controld.model.caller import Caller
from controld.model.console import ConsoleTerms, ConsoleTicket
from controld.rules.consoles import Standing, pick_to_give_way
from kit.clock import Clock
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_MARGIN_SECONDS = 10.0


class ConsoleRooms:
    """Counts the consoles that are connected to through this process, or were until a moment ago.

    One that lost its client keeps its room for its grace, unless somebody else needs it.
    """

    def __init__(self, *, agents: ConsoleAgents, directory: NodeDirectory, clock: Clock, terms: ConsoleTerms) -> None:
        self._agents = agents
        self._directory = directory
        self._clock = clock
        self._terms = terms
        self._tasks = Tasks("console rooms")
        self._taken: dict[str, tuple[Standing, ConsoleTicket]] = {}

    def __len__(self) -> int:
        return len(self._taken)

    @property
    def connected(self) -> int:
        """How many of them have their client."""
        return sum(standing.detached_at is None for standing, _ in self._taken.values())

    async def close(self) -> None:
        """Stop ending those that gave way."""
        await self._tasks.close()

    async def enter(self, ticket: ConsoleTicket) -> None:
        """Take a room for the console, or its own again; raises TooManyConsoles."""
        self._drop_old()
        standing = Standing(
            session_id=ticket.session_id,
            service_id=ticket.service_id,
            holder=name_holder(ticket.holder),
            detached_at=None,
        )
        if ticket.session_id not in self._taken:
            has_room, going = pick_to_give_way(
                (each for each, _ in self._taken.values()),
                service_id=ticket.service_id,
                holder=standing.holder,
                at_once=self._terms.at_once,
                per_service=self._terms.per_service,
            )
            if not has_room:
                raise TooManyConsoles(
                    f"cannot open the console: {self._terms.per_service} of the service are open, or "
                    f"{self._terms.at_once} in all",
                    retry_after_seconds=10,
                )
            gone = [self._taken.pop(session_id)[1] for session_id in going]
            self._taken[ticket.session_id] = (standing, ticket)
            ending = [self._tasks.start("end", self._end(each)) for each in gone]
            try:
                if ending:
                    await asyncio.wait(ending)
            except BaseException:  # its client has gone in the meantime; they end all the same
                self.leave(ticket.session_id)
                raise
        self._taken[ticket.session_id] = (standing, ticket)

    def keep(self, ticket: ConsoleTicket) -> None:
        """The client has gone and may come back; nothing where another connection has the console."""
        taken = self._taken.get(ticket.session_id)
        if taken is not None and taken[1] is ticket:
            self._taken[ticket.session_id] = (
                dataclasses.replace(taken[0], detached_at=self._clock.monotonic()),
                ticket,
            )

    def leave(self, session_id: str) -> None:
        """The console has ended."""
        self._taken.pop(session_id, None)

    def _drop_old(self) -> None:
        until = self._clock.monotonic() - self._terms.grace_seconds - _MARGIN_SECONDS
        for session_id, (standing, _) in list(self._taken.items()):
            if standing.detached_at is not None and standing.detached_at < until:
                del self._taken[session_id]

    async def _end(self, ticket: ConsoleTicket) -> None:
        node = await self._directory.find(ticket.node_id)
        if node is None:
            return
        try:
            await self._agents.end_console(node, ticket.session_id)
        except (NodeOffline, NodeFault) as fault:
            _log.info("console not ended", extra={"session_id": ticket.session_id, "reason": fault.message})


def name_holder(holder: Caller) -> str:
    """One name for each person."""
    return f"{holder.kind.value}/{holder.user_id}"
