"""The node spec: everything that one node should run, as a value whose digest is its name."""

from __future__ import annotations

import enum
import hashlib
from typing import Final

import msgspec

from wire.base import Strict


class Origin(enum.Enum):
    """Where a node gets an image from."""

    HOSTED = "hosted"
    """Our registry: `image` is `<project>/<service>@sha256:…`, pulled through the agent's loopback relay."""
    EXTERNAL = "external"
    """Another registry: `image` is a full reference by digest."""
    LOCAL = "local"
    """The node's own engine: `image` is an image id that never came from a registry."""


class Wanted(enum.Enum):
    """What is wanted of a replica."""

    RUNNING = "running"
    """Run, be watched, take traffic where a route names it."""
    DRAINING = "draining"
    """Take nothing new; stop and be removed once open requests are done or `drain_seconds` have passed."""


class Limits(Strict, frozen=True):
    """What a container may use at the most."""

    cpu_millis: int
    memory_bytes: int
    pids: int = 4096


class Health(Strict, frozen=True):
    """How a replica shows that it can serve: `GET path` answers 2xx or 3xx within `timeout_seconds`."""

    path: str
    timeout_seconds: int
    steady_seconds: float = 1.0
    """How long it must stay healthy before it counts as such."""
    interval_seconds: float = 5.0
    """The pace of checks once it is healthy."""
    failures: int = 3
    """So many failed checks in a row make a healthy replica unhealthy."""


class Replica(Strict, frozen=True, cache_hash=True):
    """One container that a node should run."""

    id: str
    service_id: str
    deployment_id: str
    project: str
    service: str
    index: int
    image: str
    origin: Origin
    port: int
    health: Health
    limits: Limits
    env: tuple[tuple[str, str], ...] = ()
    """In order; of a repeated name the last counts."""
    command: tuple[str, ...] | None = None
    """Absent: the image's own entrypoint and command."""
    stop_seconds: int = 10
    """From SIGTERM to SIGKILL."""
    wanted: Wanted = Wanted.RUNNING
    drain_seconds: float = 300.0


class Peer(Strict, frozen=True):
    """Another node whose ingress takes requests of a service for the replicas that run there."""

    node_id: str
    address: str
    port: int
    weight: int
    """How many replicas it has."""


PEER_PORT_OFFSET: Final = 10_000
"""So far above a TCP port is the one at which a node takes the connections that other nodes hand over."""


class TcpPort(Strict, frozen=True):
    """A port at which the ingress takes TCP connections for a service."""

    port: int
    internal_port: int
    """Where its replicas take them."""


class Route(Strict, frozen=True):
    """Which hosts lead to which replicas; a replica takes traffic once it is healthy."""

    key: str
    """`svc-<service id>`."""
    service_id: str
    service: str
    hosts: tuple[str, ...]
    replicas: tuple[str, ...]
    """Of this node; none where all of them run elsewhere."""
    peers: tuple[Peer, ...] = ()
    """Nodes that take a share of the requests."""
    shared: bool = False
    """Other nodes hand requests over to the replicas here."""
    tcp: tuple[TcpPort, ...] = ()
    """Ports that lead there as well."""
    asleep: bool = False
    """Nothing of it runs, or nothing that answers yet: the node holds requests and asks for the service to be woken."""


class Challenge(Strict, frozen=True):
    """An answer that the node gives at a well-known path on port 80."""

    path: str
    """Absolute, below `/.well-known/`."""
    body: str
    host: str | None = None
    """Absent: whatever the host; otherwise only for this one."""


class JobRun(Strict, frozen=True):
    """One attempt of a job's run: a container that is started once, and never again.

    Its container stays when it has ended, for whoever reads its log, until the spec names it no more.
    """

    id: str
    """Of the run, whose attempts follow one another."""
    attempt: int
    job_id: str
    project: str
    job: str
    image: str
    origin: Origin
    limits: Limits
    timeout_seconds: float
    """It is ended when it has run for so long."""
    env: tuple[tuple[str, str], ...] = ()
    """In order; of a repeated name the last counts."""
    command: tuple[str, ...] | None = None
    """Absent: the image's own entrypoint and command."""
    stop_seconds: int = 10
    """From SIGTERM to SIGKILL."""
    begun: bool = False
    """controld was told that it runs: a node that knows nothing of it has lost it, and must not start it again."""
    cancelled: bool = False
    """It should end now."""

    @property
    def key(self) -> str:
        """The name of this attempt among all of a node's."""
        return f"{self.id}.{self.attempt}"


class Certificate(Strict, frozen=True):
    """A certificate with which the node serves one host over TLS, and to which it sends plain HTTP."""

    host: str
    chain_pem: str = ""
    """Its own certificate first; empty, with the key: what the node has for this host stays."""
    key_pem: str = ""

    def __repr__(self) -> str:
        return f"Certificate(host={self.host!r})"


class NodeSpec(Strict, frozen=True):
    """Everything that the node should run."""

    node_id: str
    replicas: tuple[Replica, ...] = ()
    job_runs: tuple[JobRun, ...] = ()
    routes: tuple[Route, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    control_domain: str | None = None
    """The host that leads to controld's own public listener; absent: none."""
    control_address: str | None = None
    """`ip:port` where this node reaches that listener; absent: it does not."""
    control_peers: tuple[Peer, ...] = ()
    """The nodes that do, to which this one hands over what is for the control domain."""
    control_shared: bool = False
    """Other nodes hand that over to this one."""
    certificates: tuple[Certificate, ...] = ()
    allow_private_registries: bool = False
    """Whether images may be pulled from registries inside a network."""
    peers: tuple[str, ...] = ()
    """Ids of the nodes that may hand requests over to its ingress."""


_encoder = msgspec.json.Encoder(order="deterministic")


def encode_spec(spec: NodeSpec) -> bytes:
    """The spec as canonical JSON: equal specs give equal bytes."""
    return _encoder.encode(spec)


def compute_digest(spec: NodeSpec) -> str:
    """`sha256:<hex>` of the canonical JSON."""
    return "sha256:" + hashlib.sha256(encode_spec(spec)).hexdigest()
