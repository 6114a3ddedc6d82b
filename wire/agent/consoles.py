"""Consoles of a node's replicas.

A console is a shell in a replica, known by the id that controld gives it. `GET /consoles/{id}` is a WebSocket:
controld's first frame begins the console or comes back to it, the agent answers `ready` or `failed`, and from then on
binary messages are input one way and output the other. Text messages are JSON, told apart by the field `t`. A console
without a terminal reads its input from a pipe, which `eof` ends, and writes output and errors into others. The last
word of the agent is `ended`, or `taken` when the console is watched by another connection from then on. A connection
that closes without `end` leaves the shell running for the grace, in which it can be come back to. `GET /consoles` lists
them, `DELETE /consoles/{id}` ends one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from wire.base import Lenient, Strict

REPLAY_BYTES: Final = 256 * 1024
"""So much of the newest output is kept for those who come back."""


class ConsoleBegin(Strict, frozen=True, tag_field="t", tag="begin"):
    """Begin a console in a replica."""

    replica_id: str
    cols: int
    rows: int
    grace_seconds: float
    """How long the shell goes on while nobody is connected."""
    idle_seconds: float
    """It ends after so long without input and output."""
    limit_seconds: float
    """It ends after so long, whatever happens."""
    tty: bool = True
    """Whether it has a terminal; absent: it has."""


class ConsoleResume(Strict, frozen=True, tag_field="t", tag="resume"):
    """Come back to a console; whoever is connected to it is told `taken`."""

    cols: int
    rows: int
    received: int | None = None
    """Bytes of output that the terminal has had; absent: send all that is kept."""


class ConsoleResize(Strict, frozen=True, tag_field="t", tag="resize"):
    """The terminal has another size."""

    cols: int
    rows: int


class ConsoleInputEnd(Strict, frozen=True, tag_field="t", tag="eof"):
    """No input follows; nothing to a terminal, for which that is a key."""


class ConsoleEnd(Strict, frozen=True, tag_field="t", tag="end"):
    """End the console with everything that it started."""

    how: str
    """What is told as the reason."""


ConsoleAsk = ConsoleBegin | ConsoleResume | ConsoleResize | ConsoleInputEnd | ConsoleEnd


class ConsoleReady(Lenient, frozen=True, tag_field="t", tag="ready"):
    """The console runs; output follows."""

    shell: str
    position: int = 0
    """Bytes of output that were ahead of what follows."""


class ConsoleEnded(Lenient, frozen=True, tag_field="t", tag="ended"):
    """The console has ended, and nothing that it started is left."""

    how: str
    """`exited`, `idle`, `limit`, `abandoned`, `lost`, or the word of a `ConsoleEnd`."""
    exit_code: int | None = None
    """Of the shell; 128 + N for signal N; absent: not known."""
    input_bytes: int = 0
    output_bytes: int = 0


class ConsoleFailed(Lenient, frozen=True, tag_field="t", tag="failed"):
    """There is no such console, or it cannot be begun."""

    code: str
    message: str


class ConsoleTaken(Lenient, frozen=True, tag_field="t", tag="taken"):
    """Another connection has the console from now on."""


ConsoleWord = ConsoleReady | ConsoleEnded | ConsoleFailed | ConsoleTaken


class ConsoleState(Lenient, frozen=True):
    """A console that the node knows: one that runs, or ended lately."""

    id: str
    is_connected: bool
    ended: ConsoleEnded | None = None


class ConsoleList(Lenient, frozen=True):
    """The consoles of the node."""

    consoles: tuple[ConsoleState, ...]


_asks: msgspec.json.Decoder[ConsoleAsk] = msgspec.json.Decoder(ConsoleAsk)
_words: msgspec.json.Decoder[ConsoleWord] = msgspec.json.Decoder(ConsoleWord)


def decode_ask(text: str) -> ConsoleAsk:
    """What controld says; raises msgspec.MsgspecError."""
    return _asks.decode(text)


def decode_word(text: str) -> ConsoleWord:
    """What the agent says; raises msgspec.MsgspecError."""
    return _words.decode(text)


def encode(message: ConsoleAsk | ConsoleWord) -> str:
    """A message as the text of a frame."""
    return msgspec.json.encode(message).decode()
