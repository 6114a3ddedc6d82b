"""Plans reach the spec from any state, stay there, and never bare a route that has a healthy replica."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import labels
from agent.model.engine import Container, ContainerState
from agent.model.plan import (
    CreateContainer,
    Memory,
    PullImage,
    RemoveContainer,
    Snapshot,
    StartContainer,
    StopContainer,
)
from agent.model.replica import HealthFacts, Obstacle, Probed, ReplicaMemory, Run, Setback, Verdict
from agent.rules.containers import compute_container_digest
from agent.rules.plan import plan_node
from agent.rules.standing import find_standings
from tests.agent.rules.world import FAR, NODE, World, make_container, make_replica, make_spec
from wire.spec import NodeSpec, Origin, Wanted

ROUNDS = 120

_names = st.sampled_from([f"r{number}-{'x' * 10}{number}" for number in range(6)])
_states = st.sampled_from(list(ContainerState)).filter(lambda state: state is not ContainerState.REMOVING)


@st.composite
def specs(draw: st.DrawFn) -> NodeSpec:
    names = draw(st.lists(_names, unique=True, max_size=6))
    return make_spec(
        *(
            make_replica(
                name,
                service=draw(st.sampled_from(["web", "api"])),
                wanted=draw(st.sampled_from([Wanted.RUNNING, Wanted.RUNNING, Wanted.DRAINING])),
                image=draw(st.sampled_from(["shop/web@sha256:aa", "shop/web@sha256:bb"])),
                origin=draw(st.sampled_from([Origin.HOSTED, Origin.EXTERNAL])),
            )
            for name in names
        ),
        peers=draw(st.sampled_from([(), (), (FAR,)])),
        shared=draw(st.booleans()),
    )


@st.composite
def containers(draw: st.DrawFn, spec: NodeSpec) -> list[Container]:
    wanted = {replica.id: replica for replica in spec.replicas}
    found: list[Container] = []
    for number in range(draw(st.integers(0, 7))):
        name = draw(_names)
        replica = wanted.get(name) or make_replica(name, service=draw(st.sampled_from(["web", "gone"])))
        kind = draw(st.sampled_from(["ours", "ours", "ours", "stale", "foreign", "unlabelled", "inherited"]))
        container = make_container(
            f"c{number}",
            replica,
            state=draw(_states),
            ip=f"10.1.0.{number + 2}",
            digest="sha256:old" if kind == "stale" else None,
            node="another-node" if kind == "foreign" else NODE,
        )
        carried = dict(container.labels)
        if kind == "unlabelled":
            carried = {}
        elif kind == "inherited":
            carried = {labels.NODE: NODE}
        found.append(dataclasses.replace(container, name=f"n{number}", labels=tuple(carried.items())))
    return found


@st.composite
def worlds(draw: st.DrawFn) -> tuple[NodeSpec, World]:
    before, after = draw(specs()), draw(specs())
    spec = draw(st.sampled_from([before, after]))
    world = World(draw(containers(before)))
    for _ in range(draw(st.integers(0, 12))):
        world.turn(before)
    return spec, world


def _is_ours(container: Container) -> bool:
    carried = dict(container.labels)
    return carried.get(labels.NODE) == NODE and labels.REPLICA in carried


def _thaw(world: World) -> None:
    """A paused container stays so in the plan's eyes: somebody else has to decide."""
    for key, container in list(world.containers.items()):
        if container.state in {ContainerState.PAUSED, ContainerState.RESTARTING}:
            world.containers[key] = dataclasses.replace(
                container, state=ContainerState.RUNNING, ip=f"10.2.0.{len(key)}"
            )


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_any_state_reaches_the_spec_in_bounded_rounds_and_stays_there(given_world: tuple[NodeSpec, World]) -> None:
    spec, world = given_world
    _thaw(world)
    untouched = {c.id: c for c in world.containers.values() if not _is_ours(c)}
    for _ in range(ROUNDS):
        world.turn(spec)
    plan = world.plan(spec)

    assert plan.actions == ()
    before = world.ingress
    world.serve(plan.ingress)
    assert world.ingress == before
    assert plan.leaving == ()

    running = [replica for replica in spec.replicas if replica.wanted is Wanted.RUNNING]
    ours = [c for c in world.containers.values() if _is_ours(c)]
    assert {c.label(labels.REPLICA) for c in ours} == {replica.id for replica in running}
    assert len(ours) == len(running), "one container for each replica, and none shared"
    digests = {replica.id: compute_container_digest(replica) for replica in running}
    for container in ours:
        assert container.state is ContainerState.RUNNING
        assert container.label(labels.SPEC) == digests[str(container.label(labels.REPLICA))]
    for route in spec.routes:
        assert world.ready(route.key) == set(route.replicas)

    assert {key: c for key, c in world.containers.items() if key in untouched} == untouched
    touched = {getattr(action, "container_id", None) for action in world.done}
    assert not touched & untouched.keys(), "what is not ours is in no action"


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_a_route_that_keeps_a_healthy_replica_always_has_a_ready_server(given_world: tuple[NodeSpec, World]) -> None:
    spec, world = given_world
    _thaw(world)
    for _ in range(ROUNDS):
        served = {route.key for route in spec.routes if world.ready(route.key)}
        kept = {
            route.key
            for route in spec.routes
            for name in route.replicas
            if (facts := world.health.get(name)) is not None
            and facts.verdict is Verdict.HEALTHY
            and _keeps(world, spec, name)
        }
        world.turn(spec)
        for key in served & kept:
            assert world.ready(key), f"{key} lost its last ready server"


def _keeps(world: World, spec: NodeSpec, name: str) -> bool:
    """Whether the replica's container is the one that the spec wants, so that nothing has to be done to it."""
    replica = next(replica for replica in spec.replicas if replica.id == name)
    run = world.health[name].run
    container = world.containers.get(run.container_id)
    return container is not None and container.label(labels.SPEC) == compute_container_digest(replica)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_no_plan_works_twice_on_one_key_or_on_a_busy_one(given_world: tuple[NodeSpec, World]) -> None:
    spec, world = given_world
    for _ in range(20):
        plan = world.plan(spec)
        keys = [action.key for action in plan.actions]
        assert len(keys) == len(set(keys))
        busy = frozenset(keys[:1])
        seen = dataclasses.replace(world.snapshot(), busy=busy)
        again = plan_node(spec, seen, world.memory, now=world.now, registry_port=7191)
        assert not busy & {action.key for action in again.actions}
        world.turn(spec)


@settings(max_examples=50, deadline=None)
@given(worlds())
def test_where_replicas_stand_is_told_by_containers_and_health_alone(given_world: tuple[NodeSpec, World]) -> None:
    spec, world = given_world
    for _ in range(10):
        seen = world.snapshot()
        early = find_standings(spec, Snapshot(containers=seen.containers, health=seen.health))
        plan = plan_node(spec, seen, world.memory, now=world.now, registry_port=7191, standings=early)
        assert plan == plan_node(spec, seen, world.memory, now=world.now, registry_port=7191)
        world.turn(spec)


def test_a_new_replica_is_pulled_made_and_ready_once_it_is_healthy() -> None:
    spec = make_spec(make_replica("r1", origin=Origin.HOSTED, image="shop/web@sha256:aa"))
    world = World([])
    done = [type(action) for _ in range(6) for action in world.turn(spec).actions]
    assert done == [PullImage, CreateContainer]
    assert world.ready("svc-id-web") == {"r1"}
    assert world.done[0] == PullImage(replica_id="r1", reference="127.0.0.1:7191/shop/web@sha256:aa", hosted=True)


def test_two_replicas_of_one_image_share_a_pull() -> None:
    one = make_replica("r1", origin=Origin.EXTERNAL, image="docker.io/x@sha256:aa")
    two = make_replica("r2", origin=Origin.EXTERNAL, image="docker.io/x@sha256:aa")
    assert len(World([]).plan(make_spec(one, two)).actions) == 1


def test_a_missing_local_image_blocks_its_replica_alone() -> None:
    spec = make_spec(make_replica("r1"), make_replica("r2", origin=Origin.EXTERNAL, image="x@sha256:bb"))
    plan = World([]).plan(spec)
    assert set(plan.blocked) == {"r1"}
    assert [type(action) for action in plan.actions] == [PullImage]


def test_a_draining_replica_waits_for_its_open_sessions_and_then_goes() -> None:
    old, new = make_replica("old"), make_replica("new")
    world = World([make_container("c1", old, ip="10.1.0.2"), make_container("c2", new, ip="10.1.0.3")])
    before = make_spec(old, new)
    for _ in range(5):
        world.turn(before)
    assert world.ready("svc-id-web") == {"old", "new"}
    world.ingress = _hold(world, "old", 2)

    spec = make_spec(make_replica("old", wanted=Wanted.DRAINING), new)
    for _ in range(10):
        world.turn(spec)
    assert world.ready("svc-id-web") == {"new"}
    assert world.containers["c1"].state is ContainerState.RUNNING, "a session is open"

    world.ingress = _hold(world, "old", 0)
    for _ in range(6):
        world.turn(spec)
    assert set(world.containers) == {"c2"}


def test_a_draining_replica_goes_when_its_time_is_over_whatever_is_open() -> None:
    old, new = make_replica("old"), make_replica("new")
    world = World([make_container("c1", old, ip="10.1.0.2"), make_container("c2", new, ip="10.1.0.3")])
    for _ in range(5):
        world.turn(make_spec(old, new))
    world.ingress = _hold(world, "old", 2)
    spec = make_spec(make_replica("old", wanted=Wanted.DRAINING, drain_seconds=3.0), new)
    began = world.now
    while "c1" in world.containers:
        world.turn(spec)
        assert world.now < began + 5
    assert world.now >= began + 3


def test_a_draining_replica_serves_on_while_its_successor_is_not_healthy() -> None:
    old = make_replica("old")
    world = World([make_container("c1", old, ip="10.1.0.2")])
    for _ in range(4):
        world.turn(make_spec(old))
    spec = make_spec(
        make_replica("old", wanted=Wanted.DRAINING), make_replica("new", origin=Origin.EXTERNAL, image="x")
    )
    for _ in range(40):
        assert world.ready("svc-id-web")
        world.turn(spec)
    assert world.ready("svc-id-web") == {"new"}
    assert "c1" not in world.containers


def test_a_container_that_the_spec_does_not_know_is_drained_briefly_and_removed() -> None:
    gone = make_replica("gone")
    world = World([make_container("c1", gone)])
    for _ in range(4):
        world.turn(make_spec(gone))
    world.ingress = _hold(world, "gone", 1)
    began, spec = world.now, make_spec()
    while world.containers:
        world.turn(spec)
    assert 10 <= world.now - began < 12
    assert [type(action) for action in world.done] == [StopContainer, RemoveContainer]


def test_an_unhealthy_replica_leaves_rotation_while_another_serves_and_stays_when_it_is_the_last() -> None:
    one, two = make_replica("r1"), make_replica("r2")
    world = World([make_container("c1", one, ip="10.1.0.2"), make_container("c2", two, ip="10.1.0.3")])
    spec = make_spec(one, two)
    for _ in range(4):
        world.turn(spec)
    _sicken(world, "r1", Obstacle.STATUS)
    world.serve(world.plan(spec).ingress)
    assert world.ready("svc-id-web") == {"r2"}
    _sicken(world, "r2", Obstacle.SILENT)
    world.serve(world.plan(spec).ingress)
    assert world.ready("svc-id-web") == {"r2"}, "slow answers are better than none"
    _sicken(world, "r2", Obstacle.REFUSED)
    world.serve(world.plan(spec).ingress)
    assert "r2" not in world.ready("svc-id-web"), "nobody listens there"


def test_a_replica_that_stays_unhealthy_is_restarted_and_its_sibling_only_later() -> None:
    one, two = make_replica("r1"), make_replica("r2")
    world = World([make_container("c1", one, ip="10.1.0.2"), make_container("c2", two, ip="10.1.0.3")])
    spec = make_spec(one, two)
    for _ in range(4):
        world.turn(spec)
    _sicken(world, "r1", Obstacle.STATUS)
    _sicken(world, "r2", Obstacle.STATUS)
    assert world.plan(spec).actions == ()
    world.now += 11
    first = world.plan(spec).actions
    assert {type(action) for action in first} == {StopContainer}
    world.perform(first[0])
    assert [a.replica_id for a in world.plan(spec).actions] == []
    world.now += 1.0
    assert [type(a) for a in world.plan(spec).actions] == [StartContainer]


def test_a_crash_loop_is_taken_over_from_the_engine_and_backs_off() -> None:
    replica = make_replica("r1")
    looping = dataclasses.replace(make_container("c1", replica, state=ContainerState.RESTARTING), restarts=3)
    spec = make_spec(replica)
    seen = Snapshot(containers=(looping,))
    calm = Memory(replicas={"r1": ReplicaMemory(container_id="c1", exits=2, last_exit_at=9.0)})
    assert plan_node(spec, seen, calm, now=10.0, registry_port=1).actions == ()
    rapid = Memory(replicas={"r1": ReplicaMemory(container_id="c1", exits=5, last_exit_at=9.0)})
    assert plan_node(spec, seen, rapid, now=10.0, registry_port=1).actions == (
        StopContainer(replica_id="r1", container_id="c1", grace_seconds=1),
    )
    stopped = Snapshot(containers=(make_container("c1", replica, state=ContainerState.EXITED),))
    waiting = plan_node(spec, stopped, rapid, now=10.0, registry_port=1)
    assert waiting.actions == ()
    assert waiting.next_wake_seconds == 3.0
    assert plan_node(spec, stopped, rapid, now=13.0, registry_port=1).actions == (
        StartContainer(replica_id="r1", container_id="c1"),
    )


def test_a_failed_action_is_tried_again_with_back_off() -> None:
    spec = make_spec(make_replica("r1", origin=Origin.EXTERNAL, image="x@sha256:aa"))
    setback = Setback(count=3, at=100.0, code="image_not_found", message="no", final=True)
    memory = Memory(replicas={"r1": ReplicaMemory(setback=setback)})
    assert plan_node(spec, Snapshot(containers=()), memory, now=101.0, registry_port=1).next_wake_seconds == 3.0
    assert plan_node(spec, Snapshot(containers=()), memory, now=104.0, registry_port=1).actions


def test_while_the_engine_is_silent_an_address_where_nothing_listens_is_dropped_at_once() -> None:
    replica = make_replica("r1")
    container = make_container("c1", replica)
    run = Run(container_id="c1", started_at=container.started_at, ip="10.0.0.2", port=8080)
    facts = HealthFacts(
        run=run, verdict=Verdict.HEALTHY, verdict_at=0.0, failures=1, last=Probed(obstacle=Obstacle.REFUSED)
    )
    spec = make_spec(replica)
    seen = Snapshot(containers=(container,), health={"r1": facts})
    assert plan_node(spec, seen, Memory(), now=1.0, registry_port=1).ingress.routes[0].servers
    silent = dataclasses.replace(seen, engine_ok=False)
    assert not plan_node(spec, silent, Memory(), now=1.0, registry_port=1).ingress.routes[0].servers


def test_stale_replicas_are_replaced_one_at_a_time_while_another_serves() -> None:
    old = [make_replica(name, image="shop/web@sha256:aa", origin=Origin.EXTERNAL) for name in ("r1", "r2")]
    world = World([make_container(f"c{n}", replica, ip=f"10.1.0.{n + 2}") for n, replica in enumerate(old)])
    for _ in range(4):
        world.turn(make_spec(*old))
    spec = make_spec(*(make_replica(name, image="shop/web@sha256:bb", origin=Origin.EXTERNAL) for name in ("r1", "r2")))
    for _ in range(60):
        world.turn(spec)
        assert world.ready("svc-id-web")
    assert {c.image_id for c in world.containers.values()} == {"shop/web@sha256:bb"}


def _sicken(world: World, name: str, obstacle: Obstacle) -> None:
    world.health[name] = dataclasses.replace(
        world.health[name], verdict=Verdict.UNHEALTHY, verdict_at=world.now, last=Probed(obstacle=obstacle)
    )


def _hold(world: World, name: str, sessions: int):  # type: ignore[no-untyped-def]
    backends = tuple(
        dataclasses.replace(
            backend,
            servers=tuple(
                dataclasses.replace(server, sessions=sessions) if server.name == name else server
                for server in backend.servers
            ),
        )
        for backend in world.ingress.backends
    )
    return dataclasses.replace(world.ingress, backends=backends)


def test_a_container_taken_from_its_network_is_replaced_since_no_start_gives_it_an_address_again() -> None:
    replica = make_replica("r1")
    lost = dataclasses.replace(make_container("c1", replica), ip=None)
    world = World([lost], images=frozenset({replica.image}))
    spec = make_spec(replica)
    for _ in range(6):
        world.turn(spec)
    assert "c1" not in world.containers
    assert world.ready("svc-id-web") == {"r1"}
