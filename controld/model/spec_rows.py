"""The facts that a node spec is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wire.spec import Challenge, JobRun, Peer, Replica, TcpPort


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCertificate:
    """A certificate whose key is in the vault under `key_ref`."""

    host: str
    chain_pem: str
    key_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRouting:
    """What decides where a service's requests go."""

    service_id: str
    service: str
    promoted_deployment_id: str | None
    hosts: tuple[str, ...]
    """Verified host names."""
    rolling_deployment_id: str | None = None
    """The deployment that shares the traffic with the promoted one."""
    challenges: tuple[Challenge, ...] = ()
    """The proofs of its verified hosts, which stay to be asked for."""
    certificates: tuple[HeldCertificate, ...] = ()
    """Of those hosts of it that are served over TLS."""
    tcp: tuple[TcpPort, ...] = ()
    """The ports of its endpoints that speak TCP."""
    is_asleep: bool = False
    """It scaled to nothing: requests wait at the nodes until it is woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecCommon:
    """What every node is told alike."""

    challenges: tuple[Challenge, ...] = ()
    """What each answers at a well-known path on port 80."""
    control_certificate: HeldCertificate | None = None
    """Of the control domain, for nodes that lead there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecRows:
    """Everything that the database says of one node's work."""

    node_id: str
    replicas: tuple[Replica, ...]
    services: tuple[ServiceRouting, ...]
    """Of each service with a replica here."""
    job_runs: tuple[JobRun, ...] = ()
    address: str = ""
    """Where the node's agent is dialled; empty for a node that is not known."""
    peers: Mapping[str, tuple[Peer, ...]] = field(default_factory=dict)
    """By service the other nodes with replicas that take its traffic."""
    shares: bool = False
    """Other nodes hand requests over to this one."""
    admitted: tuple[str, ...] = ()
    """The nodes that do, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node whose ingress speaks with that of other nodes."""

    id: str
    address: str
    port: int
    """Where it takes what others hand over."""
    leads: bool
    """Its ingress leads to every service, wherever that runs; otherwise to those that run there too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlLead:
    """How a node's ingress reaches controld's public listener: at an address, through other nodes, or not at all."""

    address: str | None = None
    peers: tuple[Peer, ...] = ()
    shared: bool = False
    """Other nodes reach it through this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRouting:
    """Where the requests of every service go."""

    services: tuple[ServiceRouting, ...]
    """Of each service that has a promoted deployment."""
    replicas: Mapping[str, Mapping[str, int]]
    """By service and node how many replicas take its traffic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressRoute:
    """A service that the ingress of some nodes leads to."""

    service_id: str
    service: str
    hosts: tuple[str, ...]
    tls: bool
    node_ids: tuple[str, ...]
