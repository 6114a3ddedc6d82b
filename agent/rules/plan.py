"""Plans what leads a node from what is observed to what its spec wants; time and memory arrive as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from agent.model.engine import Container, ContainerState
from agent.model.ingress import INNER_SUFFIX
from agent.model.plan import (
    Action,
    CreateContainer,
    Memory,
    Plan,
    PullImage,
    RemoveContainer,
    ReplaceContainer,
    Snapshot,
    StartContainer,
    StopContainer,
)
from agent.model.replica import HealthFacts, ReplicaMemory, Verdict
from agent.model.standing import Leaving, Standing
from agent.rules.containers import locate_image
from agent.rules.drain import HAND_OVER_SECONDS, POLL_SECONDS, Phase, decide_phase
from agent.rules.restarts import RAPID_EXITS, compute_backoff_seconds, next_start_at
from agent.rules.rotation import find_servers, has_healthy, plan_rotation
from agent.rules.standing import find_leaving, find_standings
from wire.spec import NodeSpec, Origin, Wanted

UNHEALTHY_PATIENCE_SECONDS: Final = 10.0
"""How long a replica may stay unhealthy before it is restarted; longer after each time."""
START_PATIENCE_SECONDS: Final = 300.0
"""How long a run may take to become healthy for the first time before it is restarted."""
SIBLING_GAP_SECONDS: Final = 30.0
"""Between two restarts for bad health within one service: a cause they share must not stop them all at once."""
_NETWORK_GONE: Final = "network_gone"


def plan_node(
    spec: NodeSpec,
    seen: Snapshot,
    memory: Memory,
    *,
    now: float,
    registry_port: int,
    waker_port: int | None = None,
    standings: Mapping[str, Standing] | None = None,
) -> Plan:
    """The plan for this moment (`now`: monotonic seconds), with one action at most for each key that is not busy.

    `standings` are those of what is seen, for a caller that has found them already.

    The ingress state never takes the last ready server from a route that keeps a healthy replica, and a container is
    stopped only after its servers were seen to be gone or its drain time is over. Applying the plans of a world that
    does as told ends in a plan without actions.
    """
    if standings is None:
        standings = find_standings(spec, seen)
    leaving = find_leaving(spec, seen, standings, drains=memory.drains)
    drains = {item.container.id: memory.drains.get(item.container.id, now) for item in leaving}
    phased = tuple((item, _find_phase(item, spec, seen, standings, spent_seconds=now - drains[item.container.id]))
                   for item in leaving)  # fmt: skip
    going = {item.container.id for item in leaving}

    proposed: list[Action] = []
    wakes: list[float] = []
    blocked: dict[str, str] = {}
    for standing in standings.values():
        if standing.replica.wanted is not Wanted.RUNNING:
            continue
        if standing.container is not None and standing.container.id in going:
            continue
        step = _plan_replica(standing, standings, seen, memory, now=now, registry_port=registry_port)
        if isinstance(step, str):
            if standing.replica.id not in seen.busy:
                blocked[standing.replica.id] = step
        elif isinstance(step, float):
            wakes.append(step)
        elif step is not None:
            proposed.append(step)
    for item, phase in phased:
        if phase is Phase.STOP:
            proposed += _remove(item)
        else:
            wakes.append(min(POLL_SECONDS, item.drain_seconds - (now - drains[item.container.id])))

    actions: dict[str, Action] = {}
    for action in proposed:
        if action.key not in seen.busy:
            actions.setdefault(action.key, action)
    return Plan(
        actions=tuple(actions.values()),
        ingress=plan_rotation(spec, standings, phased, seen.ingress, engine_ok=seen.engine_ok, waker_port=waker_port),
        memory=Memory(
            replicas={name: known for name, known in memory.replicas.items() if name in standings}, drains=drains
        ),
        standings=standings,
        leaving=tuple(item.container.id for item in leaving),
        blocked=blocked,
        next_wake_seconds=max(min(wakes), 0.0) if wakes else None,
    )


def _find_phase(
    item: Leaving, spec: NodeSpec, seen: Snapshot, standings: Mapping[str, Standing], *, spent_seconds: float
) -> Phase:
    shown = find_servers(seen.ingress, item.replica_id)
    servers = None if shown is None else [known for known in shown.values() if known.address == item.container.ip]
    inner = shown is not None and any(key.endswith(INNER_SUFFIX) for key in shown)
    serves = item.standing is not None and item.standing.healthy
    covered = has_healthy(spec, standings, seen.ingress, service_id=item.service_id, besides=item.replica_id)
    open_sessions = sum(server.sessions for server in servers or ())
    return decide_phase(
        servers,
        running=item.container.state is ContainerState.RUNNING,
        spent_seconds=spent_seconds,
        drain_seconds=item.drain_seconds,
        sessions=max(open_sessions, seen.sessions.get(item.replica_id, 0)),
        last=serves and covered is False,
        handed_over=not inner or spent_seconds >= HAND_OVER_SECONDS,
    )


def _remove(item: Leaving) -> Iterator[Action]:
    match item.container.state:
        case ContainerState.RUNNING | ContainerState.RESTARTING | ContainerState.PAUSED:
            yield StopContainer(
                replica_id=item.replica_id, container_id=item.container.id, grace_seconds=item.grace_seconds
            )
        case ContainerState.CREATED | ContainerState.EXITED | ContainerState.DEAD:
            yield RemoveContainer(replica_id=item.replica_id, container_id=item.container.id)
        case ContainerState.REMOVING:
            return


def _plan_replica(
    standing: Standing,
    standings: Mapping[str, Standing],
    seen: Snapshot,
    memory: Memory,
    *,
    now: float,
    registry_port: int,
) -> Action | float | str | None:
    """The next action, or the seconds until there may be one, or why there can be none, or None: all is well."""
    container = standing.container
    known = memory.of(standing.replica.id)
    wait = next_start_at(known) - now
    if container is None:
        return wait if wait > 0 else _make(standing, seen, registry_port)
    match container.state:
        case ContainerState.CREATED | ContainerState.EXITED:
            if wait > 0:
                return wait
            if known.setback is not None and known.setback.code == _NETWORK_GONE:
                return _replace(standing, container, because="the network that it was made in is gone")
            return StartContainer(replica_id=standing.replica.id, container_id=container.id)
        case ContainerState.DEAD:
            return RemoveContainer(replica_id=standing.replica.id, container_id=container.id)
        case ContainerState.RESTARTING:
            if known.exits < RAPID_EXITS:
                return None
            return StopContainer(replica_id=standing.replica.id, container_id=container.id, grace_seconds=1)
        case ContainerState.RUNNING if container.ip is None:
            # A start leaves it as it is: whoever takes a container from its network takes it for good.
            return wait if wait > 0 else _replace(standing, container, because="it was taken from the node's network")
        case ContainerState.RUNNING:
            return _mend(standing, standings, memory, now=now)
        case ContainerState.PAUSED | ContainerState.REMOVING:
            return None


def _make(standing: Standing, seen: Snapshot, registry_port: int) -> Action | str:
    replica = standing.replica
    reference = locate_image(replica, registry_port=registry_port)
    if reference in seen.images:
        return CreateContainer(replica=replica, reference=reference)
    if replica.origin is Origin.LOCAL:
        return f"cannot start it: the image {replica.image} is not on this node and comes from no registry"
    return PullImage(replica_id=replica.id, reference=reference, hosted=replica.origin is Origin.HOSTED)


def _replace(standing: Standing, container: Container, *, because: str) -> ReplaceContainer:
    return ReplaceContainer(
        replica_id=standing.replica.id,
        container_id=container.id,
        grace_seconds=standing.replica.stop_seconds,
        because=because,
    )


def _mend(
    standing: Standing, standings: Mapping[str, Standing], memory: Memory, *, now: float
) -> Action | float | None:
    facts, container = standing.facts, standing.container
    if facts is None or container is None or facts.verdict is Verdict.HEALTHY:
        return None
    because = _find_complaint(facts)
    wait = facts.verdict_at + _find_patience(facts, memory.of(standing.replica.id)) - now
    for other in standings.values():
        if other is not standing and other.replica.service_id == standing.replica.service_id:
            restarted = memory.of(other.replica.id)
            if restarted.stopped_because is not None and restarted.last_exit_at is not None:
                wait = max(wait, restarted.last_exit_at + SIBLING_GAP_SECONDS - now)
    if wait > 0:
        return wait
    return StopContainer(
        replica_id=standing.replica.id,
        container_id=container.id,
        grace_seconds=standing.replica.stop_seconds,
        because=because,
    )


def _find_complaint(facts: HealthFacts) -> str:
    return "it stayed unhealthy" if facts.verdict is Verdict.UNHEALTHY else "it did not become healthy"


def _find_patience(facts: HealthFacts, known: ReplicaMemory) -> float:
    if facts.verdict is Verdict.UNHEALTHY:
        return UNHEALTHY_PATIENCE_SECONDS + (compute_backoff_seconds(known.exits) if known.exits else 0.0)
    return START_PATIENCE_SECONDS
