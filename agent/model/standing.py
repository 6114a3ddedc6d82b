"""Where the replicas of a spec stand on the node, side by side with the containers that have to go."""

from __future__ import annotations

from dataclasses import dataclass

from agent.model.engine import Container, ContainerState
from agent.model.replica import HealthFacts, Run, Verdict
from wire.spec import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A replica of the spec with its one container, if it has any, and what is known of its present run's health."""

    replica: Replica
    container: Container | None
    facts: HealthFacts | None
    stale: bool
    """The container was made from something else than the spec wants now."""

    @property
    def run(self) -> Run | None:
        """The present run; None while nothing runs or it has no address."""
        if self.container is None:
            return None
        return find_run(self.container, self.replica.port)

    @property
    def healthy(self) -> bool:
        """Whether its present run may take traffic."""
        return self.facts is not None and self.facts.verdict is Verdict.HEALTHY

    @property
    def unhealthy(self) -> bool:
        """Whether its present run was healthy and is no longer."""
        return self.facts is not None and self.facts.verdict is Verdict.UNHEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A container that has to go, and how gently."""

    container: Container
    replica_id: str
    service_id: str
    port: int | None
    """None: not known, since the spec does not have the replica."""
    drain_seconds: float
    grace_seconds: int
    standing: Standing | None = None
    """Where its replica stands when the spec still has it."""


def find_run(container: Container, port: int) -> Run | None:
    """The container's present run at that port; None while nothing runs or it has no address."""
    if container.state is not ContainerState.RUNNING or container.ip is None:
        return None
    return Run(container_id=container.id, started_at=container.started_at, ip=container.ip, port=port)
