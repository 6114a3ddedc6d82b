"""The node spec: everything that one node should run, as a value whose digest is its name."""

from __future__ import annotations

import enum
import hashlib

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


class Replica(Strict, frozen=True):
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


class Route(Strict, frozen=True):
    """Which hosts lead to which replicas; a replica takes traffic once it is healthy."""

    key: str
    """`svc-<service id>`."""
    service_id: str
    service: str
    hosts: tuple[str, ...]
    replicas: tuple[str, ...]


class Challenge(Strict, frozen=True):
    """An answer that the node gives at a well-known path on port 80."""

    path: str
    """Absolute, below `/.well-known/`."""
    body: str
    host: str | None = None
    """Absent: whatever the host; otherwise only for this one."""


class NodeSpec(Strict, frozen=True):
    """Everything that the node should run."""

    node_id: str
    replicas: tuple[Replica, ...] = ()
    routes: tuple[Route, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    control_domain: str | None = None
    """The host that leads to controld's own public listener; absent: none."""


_encoder = msgspec.json.Encoder(order="deterministic")


def encode_spec(spec: NodeSpec) -> bytes:
    """The spec as canonical JSON: equal specs give equal bytes."""
    return _encoder.encode(spec)


def decode_spec(data: bytes) -> NodeSpec:
    """The spec that the bytes say; raises msgspec.ValidationError or msgspec.DecodeError."""
    return msgspec.json.decode(data, type=NodeSpec)


def compute_digest(spec: NodeSpec) -> str:
    """`sha256:<hex>` of the canonical JSON."""
    return "sha256:" + hashlib.sha256(encode_spec(spec)).hexdigest()
