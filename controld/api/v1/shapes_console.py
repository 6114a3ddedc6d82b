"""The JSON of consoles: replicas, tickets, transcripts, and the frames of the WebSocket."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from controld.api.v1.shapes import Id
from controld.model.console import Console, ConsoleAsked, ConsoleReplica, IssuedTicket
from wire.base import Lenient

_U16 = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class ConsoleReplicaShape(Lenient, frozen=True):
    """A replica in which a console can be opened."""

    service_id: str
    service_name: str
    deployment_id: str
    replica_index: int
    state: str = "running"


class ConsoleTicketAsked(Lenient, frozen=True):
    """Which console is wanted; sizes are brought within 1 to 300 columns and 1 to 120 rows."""

    replica_index: Annotated[int, msgspec.Meta(ge=0, le=4_294_967_295)]
    cols: _U16 | None = None
    """Absent: 120."""
    rows: _U16 | None = None
    """Absent: 32."""
    session_id: Id | None = None
    """The console of the caller's to come back to, from its `ready` frame; absent: a new one."""
    received: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Bytes of its output that the caller has; absent: show all that is kept, which is 256 KiB at the most."""


class ConsoleTicketShape(Lenient, frozen=True):
    """A ticket for one connection; `ws_path` holds it."""

    ticket: str
    expires_at: dt.datetime
    ws_path: str


class ConsoleQuery(Lenient, frozen=True):
    """The ticket for this connection."""

    ticket: str | None = None
    tty: bool = True
    """Whether a new console has a terminal; one without has pipes, so that output comes as it is."""


class TranscriptShape(Lenient, frozen=True):
    """A console of which a transcript is kept."""

    session_id: str
    deployment_id: str
    replica_index: int
    user_id: str | None
    username: str | None
    address: str
    started_at: dt.datetime
    ended_at: dt.datetime | None
    how: str | None
    exit_code: int | None
    size_bytes: int


class ReadyFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The console runs; `position` bytes of its output are ahead of what follows."""

    session_id: str
    replica_index: int
    cols: int
    rows: int
    position: int


class ErrorFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """What went wrong, for people."""

    message: str


class ExitFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="exit"):
    """How the shell ended; 128 + N for signal N, null when that is not known."""

    code: int | None


class ResizeFrame(Lenient, frozen=True, tag_field="type", tag="resize"):
    """The terminal has another size."""

    cols: int
    rows: int


class EofFrame(Lenient, frozen=True, tag_field="type", tag="eof"):
    """The input of a console without a terminal ends."""


class CloseFrame(Lenient, frozen=True, tag_field="type", tag="close"):
    """End the console."""


ClientFrame = ResizeFrame | EofFrame | CloseFrame
_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


def decode_client_frame(text: str) -> ClientFrame | None:
    """What the client says, or None for anything else."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        return None


def read_ask(asked: ConsoleTicketAsked) -> ConsoleAsked:
    """The console that is wanted."""
    return ConsoleAsked(
        replica_index=asked.replica_index,
        cols=120 if asked.cols is None else asked.cols,
        rows=32 if asked.rows is None else asked.rows,
        session_id=None if asked.session_id is None else str(asked.session_id),
        received=asked.received,
    )


def render_replica(replica: ConsoleReplica) -> ConsoleReplicaShape:
    """The replica."""
    return ConsoleReplicaShape(
        service_id=replica.service_id,
        service_name=replica.service_name,
        deployment_id=replica.deployment_id,
        replica_index=replica.index,
    )


def render_ticket(issued: IssuedTicket, service_id: str) -> ConsoleTicketShape:
    """The ticket, with the path to connect to."""
    return ConsoleTicketShape(
        ticket=issued.ticket,
        expires_at=issued.expires_at,
        ws_path=f"/v1/services/{service_id}/console/ws?ticket={issued.ticket}",
    )


def render_transcript(console: Console) -> TranscriptShape:
    """The console behind a transcript."""
    return TranscriptShape(
        session_id=console.id,
        deployment_id=console.deployment_id,
        replica_index=console.replica_index,
        user_id=console.holder.user_id,
        username=console.holder.username,
        address=console.holder.address,
        started_at=console.started_at,
        ended_at=console.ended_at,
        how=console.how,
        exit_code=console.exit_code,
        size_bytes=console.transcript_bytes or 0,
    )
