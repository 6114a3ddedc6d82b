"""The vocabulary of a node's ingress: routes and servers as wanted, as observed, and the commands between the two."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

INNER_SUFFIX: Final = ".inner"
"""Behind the key of a route: the route for what other nodes hand over, which leads to replicas here alone."""
INNER_PREFIX: Final = "inner/"
"""Ahead of a host: as other nodes ask for it."""

PEER_PREFIX: Final = "n-"
"""Ahead of a node's id: the server that is its ingress."""

WAKER_PREFIX: Final = "wake-"
"""Ahead of a service's id: the server that is ourselves, holding requests until the service is awake."""

POOL_PREFIX: Final = "p"
"""Ahead of a number: a backend of the pool."""


class ServerState(enum.Enum):
    """What a server may be given: new requests, only what it has already, or nothing."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One replica behind a route, named by its replica id, or another node's ingress that leads to replicas there."""

    name: str
    address: str
    port: int
    state: ServerState = ServerState.READY
    weight: int = 1
    """Its share of the requests beside the others, 1 to 256."""
    peer: str | None = None
    """The name in the certificate of the node whose ingress it is, spoken to over TLS; None: a replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The hosts of one service and the servers that answer for them; `key` is stable, such as `svc-<service id>`.

    A key that ends in `.tcp-<port>` has no hosts: its servers take the connections at that port.
    """

    key: str
    hosts: tuple[str, ...] = ()
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A host's certificate chain and key in one PEM; where that is empty, what the proxy has for the host stays."""

    host: str
    pem: str = field(default="", repr=False)
    name: str = field(init=False)
    """Tells this one from every other, of the same host too; empty without PEM."""

    def __post_init__(self) -> None:
        digest = hashlib.sha256(f"{self.host}\n{self.pem}".encode()).hexdigest() if self.pem else ""
        object.__setattr__(self, "name", digest[:32])


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressState:
    """Every route that a node should serve, and the certificates of those hosts that are served over TLS alone."""

    routes: tuple[Route, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    peers: tuple[str, ...] = ()
    """Ids of the nodes that may hand requests over."""


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
    weight: int = 1

    @property
    def is_up(self) -> bool:
        """Whether requests go there now."""
        return self.state is ServerState.READY and self.status.startswith("UP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One backend of the pool, or that of a TCP port; `key` is the route that holds it, None while it is free."""

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
class RouteActivity:
    """What is open on a route, and how long ago the last request began, or the proxy where none has since."""

    open_requests: int
    idle_seconds: float

    def beside(self, other: RouteActivity | None) -> RouteActivity:
        """Both as one."""
        if other is None:
            return self
        return RouteActivity(
            open_requests=self.open_requests + other.open_requests,
            idle_seconds=min(self.idle_seconds, other.idle_seconds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressObserved:
    """What a proxy that answers is doing: its pool in order, and the backend that each host leads to.

    `certificates` are the hosts of the certificates it holds, by certificate name; plain HTTP for `secured` hosts is
    sent to HTTPS. `peers` are the nodes that may hand requests over. `dropped_logs` counts access log datagrams that
    the reader was too slow for since the start.
    """

    process: Process
    backends: tuple[Backend, ...]
    hosts: Mapping[str, str]
    certificates: Mapping[str, str] = field(default_factory=dict)
    secured: frozenset[str] = frozenset()
    peers: frozenset[str] = frozenset()
    dropped_logs: int = 0

    @property
    def pool_size(self) -> int:
        """How many of the backends are for whichever route needs one."""
        return sum(backend.name.startswith(POOL_PREFIX) for backend in self.backends)

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
    weight: int = 1
    peer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighServer:
    """Change a server's share of the requests."""

    backend: str
    server: str
    weight: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCertificate:
    """Serve a host by one more certificate; of several the earliest counts."""

    host: str
    name: str
    pem: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCertificate:
    """Forget a certificate."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureHost:
    """Send plain HTTP for a host to HTTPS."""

    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsecureHost:
    """Answer plain HTTP for a host again."""

    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmitPeer:
    """Let a node hand requests over."""

    node_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpelPeer:
    """Refuse what a node hands over."""

    node_id: str


Command: TypeAlias = (
    NameBackend
    | FreeBackend
    | AddServer
    | WeighServer
    | MoveServer
    | SetServer
    | DeleteServer
    | AddHost
    | MoveHost
    | DropHost
    | AddCertificate
    | DropCertificate
    | SecureHost
    | UnsecureHost
    | AdmitPeer
    | ExpelPeer
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
    `refused` and `failed` are sentences about parts of the wanted state that were left out or that the proxy refused;
    `screened` is that state without what was left out.
    """

    screened: IngressState
    commands: int = 0
    reloaded: bool = False
    lingering: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
