"""A node in a few lines that does as plans say: a container engine, a proxy and the health of what runs."""

from __future__ import annotations

import dataclasses
import datetime as dt

from agent.model import labels
from agent.model.engine import Container, ContainerState
from agent.model.ingress import IngressObserved, IngressState, Process, ServerState
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
from agent.model.replica import HealthFacts, Verdict
from agent.model.standing import find_run
from agent.rules.containers import compute_container_digest, render_container
from agent.rules.ingress import fresh_pool, plan_ingress
from agent.rules.plan import plan_node
from agent.rules.restarts import count_exits, note_hold, note_stop
from agent.rules.standing import find_standings
from tests.fakes.ingress import follow
from wire.spec import Health, Limits, NodeSpec, Origin, Peer, Replica, Route, Wanted

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NODE = "node-0001"
PORT = 7191
FAR = Peer(node_id="far", address="10.9.0.1", port=7192, weight=2)
"""Another node that has two replicas."""


def make_replica(
    name: str,
    *,
    service: str = "web",
    wanted: Wanted = Wanted.RUNNING,
    image: str = "sha256:aa",
    origin: Origin = Origin.LOCAL,
    drain_seconds: float = 30.0,
) -> Replica:
    return Replica(
        id=name,
        service_id=f"id-{service}",
        deployment_id="d1",
        project="shop",
        service=service,
        index=0,
        image=image,
        origin=origin,
        port=8080,
        health=Health(path="/", timeout_seconds=5),
        limits=Limits(cpu_millis=500, memory_bytes=64 * 1024 * 1024),
        wanted=wanted,
        drain_seconds=drain_seconds,
    )


def make_spec(
    *replicas: Replica, peers: tuple[Peer, ...] = (), shared: bool = False, services: tuple[str, ...] = ()
) -> NodeSpec:
    """A spec with a route for every service, to its replicas that are wanted running and to the peers."""
    services = tuple(sorted({*services, *(replica.service for replica in replicas)}))
    return NodeSpec(
        node_id=NODE,
        replicas=replicas,
        routes=tuple(
            Route(
                key=f"svc-id-{service}",
                service_id=f"id-{service}",
                service=service,
                hosts=(f"{service}.localhost",),
                replicas=tuple(r.id for r in replicas if r.service == service and r.wanted is Wanted.RUNNING),
                peers=peers,
                shared=shared,
            )
            for service in services
        ),
    )


def make_container(
    container_id: str,
    replica: Replica,
    *,
    state: ContainerState = ContainerState.RUNNING,
    ip: str = "10.0.0.2",
    digest: str | None = None,
    node: str = NODE,
) -> Container:
    spec = render_container(replica, node_id=node, network="n", image=replica.image)
    carried = {**dict(spec.labels), labels.SPEC: digest or compute_container_digest(replica)}
    running = state is ContainerState.RUNNING
    return Container(
        id=container_id,
        name=spec.name,
        labels=tuple(carried.items()),
        state=state,
        image_id=replica.image,
        pid=1 if running else None,
        ip=ip if running else None,
        exit_code=None if running else 0,
        oom_killed=False,
        restarts=0,
        started_at=START,
        finished_at=None if running else START,
        error=None,
    )


class World:
    """A node whose every action succeeds at once and whose every run is healthy once it was looked at twice."""

    def __init__(self, containers: list[Container], *, images: frozenset[str] = frozenset()) -> None:
        self.containers = {container.id: container for container in containers}
        self.images = set(images)
        self.health: dict[str, HealthFacts] = {}
        self.ingress = IngressObserved(
            process=Process(pid=1, started_at_seconds=1), backends=fresh_pool({}, 16), hosts={}
        )
        self.now = 1000.0
        self.memory = Memory()
        self.made = 0
        self.done: list[Action] = []

    def serve(self, wanted: IngressState) -> None:
        """Lead the proxy to a state."""
        for command in plan_ingress(wanted, self.ingress).commands:
            self.ingress = follow(self.ingress, command)

    def snapshot(self) -> Snapshot:
        """What the agent would see now."""
        return Snapshot(
            containers=tuple(self.containers.values()),
            images=frozenset(self.images),
            health=dict(self.health),
            ingress=self.ingress,
        )

    def plan(self, spec: NodeSpec) -> Plan:
        """The plan of this moment, with the exits counted first as the agent does."""
        for name, standing in find_standings(spec, self.snapshot()).items():
            if standing.container is not None:
                known, _ = count_exits(self.memory.of(name), standing.container, replica_id=name, now=self.now, died={})
                self.memory = self.memory.remember(name, known)
        return plan_node(spec, self.snapshot(), self.memory, now=self.now, registry_port=PORT)

    def turn(self, spec: NodeSpec) -> Plan:
        """Plan, do all of it, and let time pass until the plan wants to be made again."""
        plan = self.plan(spec)
        self.memory = plan.memory
        self.serve(plan.ingress)
        for action in plan.actions:
            self.perform(action)
        self.now += 0.05 if plan.actions else max(plan.next_wake_seconds or 0.0, 0.05)
        self.check(spec)
        return plan

    def check(self, spec: NodeSpec) -> None:
        """Let every run that nothing is known of become starting, and every starting one healthy."""
        for name, standing in find_standings(spec, self.snapshot()).items():
            run = standing.run
            if run is None:
                self.health.pop(name, None)
            elif name not in self.health or self.health[name].run != run:
                self.health[name] = HealthFacts(run=run, verdict=Verdict.STARTING, verdict_at=self.now)
            else:
                self.health[name] = HealthFacts(run=run, verdict=Verdict.HEALTHY, verdict_at=self.now)

    def perform(self, action: Action) -> None:
        """Do as the engine would."""
        self.done.append(action)
        match action:
            case PullImage(reference=reference):
                self.images.add(reference)
            case CreateContainer(replica=replica, reference=reference):
                assert reference in self.images
                self.made += 1
                made = make_container(f"made-{self.made}", replica, state=ContainerState.CREATED)
                self.containers = {key: c for key, c in self.containers.items() if c.name != made.name}
                self.containers[made.id] = self._started(dataclasses.replace(made, finished_at=None))
            case StartContainer(container_id=container_id):
                self.containers[container_id] = self._started(self.containers[container_id])
            case StopContainer(container_id=container_id):
                known = self.memory.of(action.replica_id)
                stopped = note_hold(known) if action.because is None else note_stop(known, "ill", now=self.now)
                self.memory = self.memory.remember(action.replica_id, stopped)
                self.containers[container_id] = dataclasses.replace(
                    self.containers[container_id],
                    state=ContainerState.EXITED,
                    ip=None,
                    finished_at=START + dt.timedelta(seconds=self.now),
                )
            case ReplaceContainer(container_id=container_id, because=because):
                self.memory = self.memory.remember(
                    action.replica_id, note_stop(self.memory.of(action.replica_id), because, now=self.now)
                )
                del self.containers[container_id]
            case RemoveContainer(container_id=container_id):
                assert self.containers[container_id].state is not ContainerState.RUNNING
                del self.containers[container_id]

    def ready(self, key: str) -> set[str]:
        """Replicas that the proxy gives new requests of the route, at an address where their own container runs."""
        route = self.ingress.routes.get(key)
        servers = route.servers if route else ()
        homes = {
            (container.label(labels.REPLICA), container.ip)
            for container in self.containers.values()
            if container.state is ContainerState.RUNNING
        }
        return {s.name for s in servers if s.state is ServerState.READY and (s.name, s.address) in homes}

    def led_to(self, key: str) -> set[str]:
        """Whatever the proxy gives new requests of the route, other nodes included."""
        route = self.ingress.routes.get(key)
        return {server.name for server in (route.servers if route else ()) if server.is_up}

    def _started(self, container: Container) -> Container:
        self.made += 1
        return dataclasses.replace(
            container,
            state=ContainerState.RUNNING,
            ip=f"10.0.{self.made // 200}.{self.made % 200 + 10}",
            started_at=START + dt.timedelta(seconds=self.now),
        )


__all__ = ["NODE", "World", "find_run", "make_container", "make_replica", "make_spec"]
