"""What a node should do next: the facts that a plan is made from, and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.model.engine import Container
from agent.model.ingress import IngressObserved, IngressState
from agent.model.replica import HealthFacts, ReplicaMemory
from agent.model.standing import Standing
from wire.spec import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the node looks like now."""

    containers: tuple[Container, ...]
    images: frozenset[str] = frozenset()
    """References that were looked up and are present."""
    health: Mapping[str, HealthFacts] = field(default_factory=dict)
    """By replica id."""
    ingress: IngressObserved | None = None
    """None: the proxy does not answer."""
    sessions: Mapping[str, int] = field(default_factory=dict)
    """Open sessions of the servers that drain, by name."""
    busy: frozenset[str] = frozenset()
    """Keys of the actions that are under way."""
    engine_ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is remembered between two looks; moments are seconds of the monotonic clock."""

    replicas: Mapping[str, ReplicaMemory] = field(default_factory=dict)
    """By replica id."""
    drains: Mapping[str, float] = field(default_factory=dict)
    """Since when a container is being drained, by container id."""

    def of(self, replica_id: str) -> ReplicaMemory:
        """What is remembered of the replica; nothing, when it is new."""
        return self.replicas.get(replica_id, _NOTHING)

    def remember(self, replica_id: str, known: ReplicaMemory) -> Memory:
        """The memory with this of the replica."""
        return Memory(replicas={**self.replicas, replica_id: known}, drains=self.drains)


_NOTHING = ReplicaMemory()


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfReplica:
    replica_id: str

    @property
    def key(self) -> str:
        """What no other action may work on meanwhile."""
        return self.replica_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage:
    """Make the image present; replicas that want the same one wait for the same pull."""

    replica_id: str
    reference: str
    hosted: bool
    """It comes from our registry, with the agent's own login."""

    @property
    def key(self) -> str:
        """What no other action may work on meanwhile."""
        return f"image:{self.reference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer:
    """Make the replica's container from an image that is present, and start it."""

    replica: Replica
    reference: str

    @property
    def replica_id(self) -> str:
        """Whose container it is."""
        return self.replica.id

    @property
    def key(self) -> str:
        """What no other action may work on meanwhile."""
        return self.replica.id


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer(_OfReplica):
    """Start a container that does not run."""

    container_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer(_OfReplica):
    """Stop a container; `because` says why when its replica is wanted and will be started again."""

    container_id: str
    grace_seconds: int
    because: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer(_OfReplica):
    """Remove a container that has stopped."""

    container_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceContainer(_OfReplica):
    """Stop and remove a container that no start can mend, so that its replica gets another; `because` says why."""

    container_id: str
    grace_seconds: int
    because: str


Action: TypeAlias = PullImage | CreateContainer | StartContainer | StopContainer | RemoveContainer | ReplaceContainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now: the ingress first, then the actions, side by side; then look again."""

    actions: tuple[Action, ...]
    ingress: IngressState
    memory: Memory
    """What to remember for the next plan."""
    standings: Mapping[str, Standing]
    """Where each replica of the spec stands, by its id."""
    leaving: tuple[str, ...]
    """Ids of the containers that have to go."""
    blocked: Mapping[str, str]
    """Why nothing can be done for a replica, by replica id."""
    next_wake_seconds: float | None
    """When to plan again though nothing has happened; None: no need."""
