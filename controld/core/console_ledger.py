"""What is written down of consoles: their rows, their beginnings and ends in the audit, their transcripts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from typing import Final

from controld.core.faults import ConsoleNotFound, NodeFault, NodeOffline
from controld.core.node_directory import NodeDirectory
from controld.core.ports import Database
from controld.core.ports_consoles import ConsoleAgents, ConsoleStore, TranscriptFiles, TranscriptWriter
from controld.core.ports_deployments import AuditTrail
from controld.model.console import Admission, Console, ConsoleTerms
from controld.model.node import NodeState
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_SETTLED: Final = dt.timedelta(seconds=60)
"""A console that is younger may still be on its way to its node."""
_SLICE: Final = 200
_PATIENCE: Final = dt.timedelta(hours=1)


class ConsoleLedger:
    """Begins and ends the rows of consoles; each end is written once, by whoever learns of it first."""

    def __init__(
        self,
        *,
        database: Database,
        consoles: ConsoleStore,
        transcripts: TranscriptFiles,
        agents: ConsoleAgents,
        directory: NodeDirectory,
        audit: AuditTrail,
        clock: Clock,
        terms: ConsoleTerms,
        keep_days: float,
    ) -> None:
        self._database = database
        self._consoles = consoles
        self._transcripts = transcripts
        self._agents = agents
        self._directory = directory
        self._audit = audit
        self._clock = clock
        self._terms = terms
        self._keep = dt.timedelta(days=keep_days)

    async def begin(self, admission: Admission) -> Console:
        """Write down that a console begins, ahead of its shell."""
        ticket = admission.ticket
        console = Console(
            id=ticket.session_id,
            project_id=ticket.project_id,
            service_id=ticket.service_id,
            deployment_id=ticket.deployment_id,
            replica_id=ticket.replica_id,
            replica_index=ticket.replica_index,
            node_id=ticket.node_id,
            holder=dataclasses.replace(ticket.holder, address=admission.address),
            cols=ticket.cols,
            rows=ticket.rows,
            started_at=self._clock.now(),
        )
        async with self._database.write() as tx:
            await self._consoles.add(tx, console)
            await self._audit.record(
                tx,
                console.holder,
                action="console.start",
                object_kind="console",
                object_id=console.id,
                project_id=console.project_id,
                details=_facts(console),
            )
        return console

    async def resume(self, admission: Admission) -> Console:
        """Write down that somebody comes back to a console, and from where; raises ConsoleNotFound."""
        async with self._database.write() as tx:
            console = await self._consoles.get(tx, admission.ticket.session_id)
            if console is None:
                raise ConsoleNotFound("console not found")
            await self._audit.record(
                tx,
                dataclasses.replace(admission.ticket.holder, address=admission.address),
                action="console.return",
                object_kind="console",
                object_id=console.id,
                project_id=console.project_id,
                details=_facts(console),
            )
        return console

    async def finish(self, console_id: str, *, how: str, exit_code: int | None) -> None:
        """Write down how a console ended; nothing where that was done before."""
        now = self._clock.now()
        async with self._database.write() as tx:
            console = await self._consoles.finish(tx, console_id, at=now, how=how, exit_code=exit_code)
            if console is None:
                return
            await self._audit.record(
                tx,
                console.holder,
                action="console.end",
                object_kind="console",
                object_id=console.id,
                project_id=console.project_id,
                details={
                    **_facts(console),
                    "how": how,
                    "exit_code": exit_code,
                    "seconds": round((now - console.started_at).total_seconds(), 3),
                },
            )

    async def close_transcript(self, console: Console, transcript: TranscriptWriter) -> None:
        """Let a transcript be found, once what belongs to it is written."""
        if size := await transcript.close():
            async with self._database.write() as tx:
                await self._consoles.note_transcript(tx, console.id, size_bytes=size)

    async def sweep(self) -> None:
        """Write down the ends that nobody here has seen, and drop what has been kept for long enough."""
        now = self._clock.now()
        async with self._database.read() as tx:
            found = await self._consoles.list_open(tx)
        by_node: dict[str, list[Console]] = {}
        for console in found:
            if console.started_at <= now - _SETTLED:
                by_node.setdefault(console.node_id, []).append(console)
        for node_id, consoles in by_node.items():
            await self._look(node_id, consoles, now=now)
        await self._drop_old(now)

    async def _look(self, node_id: str, consoles: list[Console], *, now: dt.datetime) -> None:
        node = await self._directory.find(node_id)
        if node is None or node.state is NodeState.REMOVED:
            states = {}
        else:
            try:
                states = {state.id: state for state in await self._agents.list_consoles(node)}
            except (NodeOffline, NodeFault) as fault:
                _log.debug("consoles of a node not looked at", extra={"node": node.name, "reason": fault.message})
                longest = dt.timedelta(seconds=self._terms.limit_seconds) + _PATIENCE
                consoles = [console for console in consoles if console.started_at < now - longest]
                states = {}
        for console in consoles:
            state = states.get(console.id)
            if state is None:
                await self.finish(console.id, how="lost", exit_code=None)
            elif state.ended is not None:
                await self.finish(console.id, how=state.ended.how, exit_code=state.ended.exit_code)

    async def _drop_old(self, now: dt.datetime) -> None:
        while True:
            async with self._database.write() as tx:
                ids = await self._consoles.list_older(tx, now - self._keep, limit=_SLICE)
                await self._consoles.delete(tx, ids)
            for console_id in ids:
                try:
                    await self._transcripts.remove(console_id)
                except Fault as fault:
                    _log.warning("transcript not removed", extra={"console_id": console_id, "reason": fault.message})
            if len(ids) < _SLICE:
                return


def _facts(console: Console) -> dict[str, object]:
    return {
        "service_id": console.service_id,
        "deployment_id": console.deployment_id,
        "replica_id": console.replica_id,
        "replica_index": console.replica_index,
        "node_id": console.node_id,
    }
