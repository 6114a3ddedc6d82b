"""Matches the containers of a node with the replicas of its spec, and finds those that have to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.model import labels
from agent.model.engine import Container, ContainerState
from agent.model.plan import Snapshot
from agent.model.replica import HealthFacts, Verdict
from agent.model.standing import Leaving, Standing, find_run
from agent.rules.containers import compute_container_digest, find_replica_id
from agent.rules.drain import ORPHAN_DRAIN_SECONDS, ORPHAN_GRACE_SECONDS
from wire.spec import NodeSpec, Replica, Wanted


def group_containers(containers: Sequence[Container], *, node_id: str) -> dict[str, list[Container]]:
    """The node's own containers by replica id; what is not a replica of ours is left out."""
    found: dict[str, list[Container]] = {}
    for container in containers:
        replica_id = find_replica_id(container, node_id=node_id)
        if replica_id is not None:
            found.setdefault(replica_id, []).append(container)
    return found


def find_standings(spec: NodeSpec, seen: Snapshot) -> dict[str, Standing]:
    """Where each replica of the spec stands, by its id, in the spec's order."""
    groups = group_containers(seen.containers, node_id=spec.node_id)
    return {
        replica.id: _stand(replica, groups.get(replica.id, ()), seen.health.get(replica.id))
        for replica in spec.replicas
    }


def find_leaving(
    spec: NodeSpec, seen: Snapshot, standings: Mapping[str, Standing], *, drains: Mapping[str, float]
) -> tuple[Leaving, ...]:
    """The containers that have to go: what drains, stale ones in turn, spares, and what the spec does not know."""
    found: list[Leaving] = []
    for replica_id, containers in group_containers(seen.containers, node_id=spec.node_id).items():
        standing = standings.get(replica_id)
        for container in containers:
            if standing is None:
                found.append(_orphan(container, replica_id))
            elif standing.container is not container:
                found.append(_spare(container, standing))
            elif standing.replica.wanted is Wanted.DRAINING:
                found.append(_drained(container, standing))
    turning = _find_turning(standings, drains)
    found += [_drained(standing.container, standing) for standing in turning if standing.container is not None]
    return tuple(found)


def _stand(replica: Replica, containers: Sequence[Container], facts: HealthFacts | None) -> Standing:
    digest = compute_container_digest(replica)

    def rank(container: Container) -> tuple[bool, bool, bool, str]:
        run = find_run(container, replica.port)
        healthy = facts is not None and facts.run == run and facts.verdict is Verdict.HEALTHY
        return (
            not healthy,
            container.label(labels.SPEC) != digest,
            container.state is not ContainerState.RUNNING,
            container.id,
        )

    container = min(containers, key=rank, default=None)
    run = find_run(container, replica.port) if container else None
    return Standing(
        replica=replica,
        container=container,
        facts=facts if facts is not None and run is not None and facts.run == run else None,
        stale=container is not None and container.label(labels.SPEC) != digest,
    )


def _find_turning(standings: Mapping[str, Standing], drains: Mapping[str, float]) -> list[Standing]:
    """The stale replicas whose turn it is: those that serve nobody, and of each service one that does.

    One that serves waits until another of its service is healthy and none else is on its way out, unless it is alone.
    """
    running = [standing for standing in standings.values() if standing.replica.wanted is Wanted.RUNNING]
    turning: dict[str, Standing] = {}
    for standing in running:
        going = standing.container is not None and standing.container.id in drains
        if standing.stale and (going or not standing.healthy):
            turning[standing.replica.id] = standing
    for standing in running:
        if not standing.stale or standing.replica.id in turning:
            continue
        siblings = [
            other
            for other in running
            if other is not standing and other.replica.service_id == standing.replica.service_id
        ]
        covered = any(other.healthy and other.replica.id not in turning for other in siblings)
        clear = not any(other.healthy and other.replica.id in turning for other in siblings)
        if not siblings or (covered and clear):
            turning[standing.replica.id] = standing
    return list(turning.values())


def _drained(container: Container, standing: Standing) -> Leaving:
    replica = standing.replica
    return Leaving(
        container=container,
        replica_id=replica.id,
        service_id=replica.service_id,
        port=replica.port,
        drain_seconds=replica.drain_seconds,
        grace_seconds=replica.stop_seconds,
        standing=standing,
    )


def _spare(container: Container, standing: Standing) -> Leaving:
    return Leaving(
        container=container,
        replica_id=standing.replica.id,
        service_id=standing.replica.service_id,
        port=standing.replica.port,
        drain_seconds=0.0,
        grace_seconds=standing.replica.stop_seconds,
    )


def _orphan(container: Container, replica_id: str) -> Leaving:
    return Leaving(
        container=container,
        replica_id=replica_id,
        service_id=container.label(labels.SERVICE) or "",
        port=None,
        drain_seconds=ORPHAN_DRAIN_SECONDS,
        grace_seconds=ORPHAN_GRACE_SECONDS,
    )
