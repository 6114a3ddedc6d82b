"""The vocabulary of a node's ingress: routes and servers as wanted, as observed, and the commands between the two."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


class ServerState(enum.Enum):
    """What a server may be given: new requests, only what it has already, or nothing."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One replica behind a route, named by its replica id."""

    name: str
    address: str
    port: int
    state: ServerState = ServerState.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The hosts of one service and the servers that answer for them; `key` is stable, such as `svc-<service id>`."""

    key: str
    hosts: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressState:
    """Every route that a node should serve."""

    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Which proxy process answered; a restart or a reload changes it."""

    pid: int
    started_at_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerObserved:
    """One server as the proxy has it; `sessions` are open now, `status` is the proxy's word: `UP`, `DOWN`, `MAINT`."""

    name: str
    address: str
    port: int
    state: ServerState
    sessions: int = 0
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One backend of the pool; `key` is the route that holds it, None while it is free."""

    name: str
    key: str | None = None
    servers: tuple[ServerObserved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteObserved:
    """One route as the proxy serves it."""

    key: str
    hosts: tuple[str, ...]
    servers: tuple[ServerObserved, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressObserved:
    """What a proxy that answers is doing: its pool in order, and the backend that each host leads to.

    `dropped_logs` counts access log datagrams that the reader was too slow for since the process started.
    """

    process: Process
    backends: tuple[Backend, ...]
    hosts: Mapping[str, str]
    dropped_logs: int = 0

    @property
    def routes(self) -> Mapping[str, RouteObserved]:
        """The routes by key; of two backends under one key the first counts."""
        hosts: dict[str, list[str]] = {}
        for host, name in self.hosts.items():
            hosts.setdefault(name, []).append(host)
        found: dict[str, RouteObserved] = {}
        for backend in self.backends:
            if backend.key is not None and backend.key not in found:
                found[backend.key] = RouteObserved(
                    key=backend.key, hosts=tuple(sorted(hosts.get(backend.name, ()))), servers=backend.servers
                )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NameBackend:
    """Give a free backend to a route."""

    backend: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeBackend:
    """Take a backend that has no servers back into the pool."""

    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddServer:
    """Make a server with its health check on; it gets no requests until its state is set."""

    backend: str
    server: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveServer:
    """Lead a server's next connections to another address; open ones stay where they are."""

    backend: str
    server: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetServer:
    """Set the state of a server."""

    backend: str
    server: str
    state: ServerState


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteServer:
    """Remove a server in maintenance; the proxy refuses while it has open connections."""

    backend: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddHost:
    """Lead a host that has no entry to a backend."""

    host: str
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveHost:
    """Lead a host that has an entry to another backend."""

    host: str
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropHost:
    """Forget a host."""

    host: str


Command: TypeAlias = (
    NameBackend | FreeBackend | AddServer | MoveServer | SetServer | DeleteServer | AddHost | MoveHost | DropHost
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The commands that lead to the wanted state, in order; `placement` is the backend of each route key.

    `unplaced` are route keys for which the pool has no free backend; `lingering` are servers that nobody wants and that
    still have open sessions.
    """

    commands: tuple[Command, ...] = ()
    placement: Mapping[str, str]
    unplaced: tuple[str, ...] = ()
    lingering: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyResult:
    """What one application did.

    `commands` counts the changes asked for; `lingering` names unwanted servers kept because sessions are open on them;
    `refused` and `failed` are sentences about parts of the wanted state that were left out or that the proxy refused.
    """

    commands: int = 0
    reloaded: bool = False
    lingering: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
