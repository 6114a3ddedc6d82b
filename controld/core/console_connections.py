"""Joins a client's terminal with a console on a node, until one of them has gone."""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import Final

from controld.core.console_ledger import ConsoleLedger
from controld.core.console_rooms import ConsoleRooms
from controld.core.faults import NodeFault, NodeOffline
from controld.core.identities import Identities
from controld.core.ports_consoles import (
    Closed,
    ConsoleAgents,
    ConsoleLine,
    Gone,
    InputEnded,
    Resized,
    Terminal,
    TranscriptFiles,
    TranscriptWriter,
)
from controld.core.services import Services
from controld.model.console import Admission, Console, ConsoleTerms
from controld.rules.consoles import clamp_size
from kit.clock import Clock
from kit.faults import Fault, Kind
from kit.flow import Valve
from kit.tasks import Tasks
from wire.agent.consoles import (
    ConsoleBegin,
    ConsoleEnd,
    ConsoleEnded,
    ConsoleFailed,
    ConsoleInputEnd,
    ConsoleReady,
    ConsoleResize,
    ConsoleResume,
    ConsoleTaken,
)

_log = logging.getLogger(__name__)

CLOSE_OK: Final = 1000
CLOSE_REFUSED: Final = 1008
CLOSE_FAILED: Final = 1011
CLOSED: Final = "console closed"

_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 15.0
_REFUSED: Final = frozenset({Kind.FORBIDDEN, Kind.NOT_FOUND, Kind.UNAUTHENTICATED})
_WORDS: Final = {
    "idle": "the console was idle for too long",
    "limit": "the console was open for as long as it may be",
    "lost": "the node's agent stopped",
    "revoked": "access was withdrawn",
}


class _Reason(enum.Enum):
    """Why a connection is over."""

    ENDED = enum.auto()
    CLOSED = enum.auto()
    GONE = enum.auto()
    REVOKED = enum.auto()
    TAKEN = enum.auto()
    LOST = enum.auto()


class ConsoleConnections:
    """Keeps connections between terminals and consoles; each goes on when its request has been given up.

    A client that closes ends its console; one that vanishes leaves it running for the grace, and may come back with a
    ticket for it, through any controld.
    """

    def __init__(
        self,
        *,
        agents: ConsoleAgents,
        ledger: ConsoleLedger,
        rooms: ConsoleRooms,
        identities: Identities,
        services: Services,
        transcripts: TranscriptFiles | None,
        clock: Clock,
        terms: ConsoleTerms,
    ) -> None:
        self._agents = agents
        self._ledger = ledger
        self._rooms = rooms
        self._identities = identities
        self._services = services
        self._transcripts = transcripts
        self._clock = clock
        self._terms = terms
        self._tasks = Tasks("consoles")
        self._ends = Tasks("ends of consoles")

    def start(self, admission: Admission, terminal: Terminal, *, tty: bool) -> asyncio.Task[None]:
        """Keep the connection until it is over; the terminal is closed then. A new shell has one too if `tty`."""
        return self._tasks.start("connection", self._keep(admission, terminal, tty=tty))

    def leave(self, admission: Admission) -> None:
        """Give back the room of an admission whose terminal never came."""
        self._rooms.leave(admission.ticket.session_id)

    async def close(self) -> None:
        """Let every console go; their clients may come back through another controld, or the next run of this one."""
        await self._tasks.close()
        await self._ends.close()

    async def _keep(self, admission: Admission, terminal: Terminal, *, tty: bool) -> None:
        ticket = admission.ticket
        try:
            console, line, position = await self._open(admission, tty=tty)
        except Fault as fault:
            self._rooms.leave(ticket.session_id)
            terminal.tell_error(fault.message)
            await terminal.close(CLOSE_FAILED, "console not opened")
            return
        except BaseException:
            self._rooms.leave(ticket.session_id)
            raise
        transcript = None if self._transcripts is None else self._transcripts.open(console)
        try:
            terminal.tell_ready(
                ticket.session_id,
                replica_index=ticket.replica_index,
                cols=ticket.cols,
                rows=ticket.rows,
                position=position,
            )
            reason, ended = await self._join(admission, terminal, line=line, transcript=transcript)
            if ended is not None:
                self._rooms.leave(ticket.session_id)
                await self._note_end(ticket.session_id, how=ended.how, exit_code=ended.exit_code)
            await _say_goodbye(terminal, reason, ended)
        finally:
            self._rooms.keep(ticket)
            await line.close()
            if transcript is not None:
                await self._ends.finish("transcript", self._ledger.close_transcript(console, transcript))

    async def _open(self, admission: Admission, *, tty: bool) -> tuple[Console, ConsoleLine, int]:
        ticket, terms = admission.ticket, self._terms
        if ticket.is_return:
            console = await self._ledger.resume(admission)
            asked: ConsoleBegin | ConsoleResume = ConsoleResume(
                cols=ticket.cols, rows=ticket.rows, received=ticket.received
            )
        else:
            console = await self._ledger.begin(admission)
            asked = ConsoleBegin(
                replica_id=ticket.replica_id,
                cols=ticket.cols,
                rows=ticket.rows,
                grace_seconds=terms.grace_seconds,
                idle_seconds=terms.idle_seconds,
                limit_seconds=terms.limit_seconds,
                tty=tty,
            )
        try:
            line = await self._agents.open_console(admission.node, ticket.session_id, asked)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    word = await line.receive()
                if not isinstance(word, ConsoleReady):
                    message = word.message if isinstance(word, ConsoleFailed) else "the node did not open it"
                    code = word.code if isinstance(word, ConsoleFailed) else "unexpected"
                    raise NodeFault(message, remote_code=code, kind=Kind.CONFLICT)
            except BaseException:
                await line.close()
                raise
        except TimeoutError as error:
            await self._note_failed(ticket.session_id, is_return=ticket.is_return)
            raise NodeOffline("cannot open the console: its node did not answer in time") from error
        except BaseException:
            await self._note_failed(ticket.session_id, is_return=ticket.is_return)
            raise
        return console, line, word.position

    async def _note_failed(self, session_id: str, *, is_return: bool) -> None:
        if not is_return:
            await self._ends.finish("note", self._note_end(session_id, how="failed", exit_code=None))

    async def _note_end(self, session_id: str, *, how: str, exit_code: int | None) -> None:
        try:
            await self._ledger.finish(session_id, how=how, exit_code=exit_code)
        except Fault as fault:  # the next sweep learns it from the node
            _log.warning("console's end not noted", extra={"session_id": session_id, "reason": fault.message})

    async def _join(
        self, admission: Admission, terminal: Terminal, *, line: ConsoleLine, transcript: TranscriptWriter | None
    ) -> tuple[_Reason, ConsoleEnded | None]:
        tasks = Tasks("console")
        output = Valve(line, terminal, tasks=tasks)
        input_ = Valve(terminal, line, tasks=tasks)

        def show(data: bytes) -> None:
            terminal.write(data)
            output.check()
            if transcript is not None:
                transcript.note_output(data)

        def type_(data: bytes) -> None:
            line.write(data)
            input_.check()

        try:
            line.listen(show)
            terminal.listen(type_)
            words = tasks.start("words", _read_line(line))
            news = tasks.start("news", _read_terminal(terminal, line, transcript))
            access = tasks.start("access", self._watch_access(admission))
            await asyncio.wait([words, news, access], return_when=asyncio.FIRST_COMPLETED)
            if words.done():
                found: tuple[_Reason, ConsoleEnded | None] = words.result()
                return found
            reason = news.result() if news.done() else _Reason.REVOKED
            if reason is _Reason.GONE:
                return reason, None
            line.say(ConsoleEnd(how="closed" if reason is _Reason.CLOSED else "revoked"))
            await asyncio.wait([words], timeout=_END_SECONDS)
            if words.done():
                _, ended = words.result()
                return reason, ended
            return _Reason.LOST, None
        finally:
            await tasks.close()

    async def _watch_access(self, admission: Admission) -> None:
        """Return once the holder may not have the console any more."""
        ticket, watch = admission.ticket, self._identities.watch_changes()
        try:
            while True:
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await watch.next()
                except TimeoutError:
                    pass  # what nobody announces, such as a token's time, is looked at now and then
                try:
                    holder = await self._identities.recall(ticket.holder)
                    if holder is None:
                        return
                    await self._services.admit(holder, ticket.service_id, operation="console.open")
                except Fault as fault:
                    if fault.kind in _REFUSED:
                        return
                    _log.debug("console's holder not looked at", extra={"reason": fault.message})
        finally:
            watch.close()


async def _read_line(line: ConsoleLine) -> tuple[_Reason, ConsoleEnded | None]:
    while True:
        try:
            word = await line.receive()
        except (NodeOffline, NodeFault):
            return _Reason.LOST, None
        if isinstance(word, ConsoleEnded):
            return _Reason.ENDED, word
        if isinstance(word, ConsoleTaken):
            return _Reason.TAKEN, None


async def _read_terminal(terminal: Terminal, line: ConsoleLine, transcript: TranscriptWriter | None) -> _Reason:
    while True:
        match await terminal.receive():
            case Resized(cols=cols, rows=rows):
                cols, rows = clamp_size(cols, rows)
                line.say(ConsoleResize(cols=cols, rows=rows))
                if transcript is not None:
                    transcript.note_size(cols, rows)
            case InputEnded():
                line.say(ConsoleInputEnd())
            case Closed():
                return _Reason.CLOSED
            case Gone():
                return _Reason.GONE


async def _say_goodbye(terminal: Terminal, reason: _Reason, ended: ConsoleEnded | None) -> None:
    if reason is _Reason.TAKEN:
        terminal.tell_error("another connection has the console now")
        await terminal.close(CLOSE_REFUSED, "console taken")
    elif reason is _Reason.GONE:
        await terminal.close(CLOSE_FAILED, "connection lost")
    elif ended is None:
        terminal.tell_error("the connection to the node was lost")
        await terminal.close(CLOSE_FAILED, "node lost")
    else:
        if (word := _WORDS.get(ended.how)) is not None:
            terminal.tell_error(word)
        terminal.tell_exit(ended.exit_code)
        if reason is _Reason.REVOKED:
            await terminal.close(CLOSE_REFUSED, "access withdrawn")
        else:
            await terminal.close(CLOSE_OK, CLOSED)
