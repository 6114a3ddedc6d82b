"""Whatever nodes report, a deployment ends, in time, and its gate is never passed by mistake."""

from __future__ import annotations

import dataclasses
import datetime as dt

from hypothesis import given, settings
from hypothesis import strategies as st

from controld.model.artifact import Artifact, ArtifactKind, ImageSource
from controld.model.deployment import Deployment, DeploymentRequest, ImageRequest, RedeployRequest, Status
from controld.model.fleet import NodeFacts
from controld.model.launch import Launch
from controld.model.node import NodeState
from controld.model.placement import Placement
from controld.model.replica import PlacedReplica
from controld.rules.deployment import (
    Begin,
    Confirm,
    Extend,
    Facts,
    Fail,
    Hold,
    Promote,
    Roll,
    Start,
    Step,
    Timing,
    Wait,
    Work,
    decide_step,
)
from controld.rules.replica_config import freeze_config
from wire.link import ReplicaReport, ReplicaState
from wire.spec import Health, Limits, Origin, Wanted

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TIMING = Timing()
LAUNCH = Launch(
    service_id="s",
    service="web",
    project_id="p",
    project="shop",
    source_kind="external_image",
    image="nginx",
    port=80,
    health=Health(path="/", timeout_seconds=5),
    limits=Limits(cpu_millis=500, memory_bytes=2**29),
    env=(),
    replicas=2,
    promoted_deployment_id=None,
)
ARTIFACT = Artifact(
    id="a",
    service_id="s",
    digest="sha256:0",
    kind=ArtifactKind.OCI_IMAGE,
    source=ImageSource(image="nginx"),
    origin=Origin.EXTERNAL,
    image="nginx@sha256:0",
    node_id="n1",
    size_bytes=None,
    created_at=NOW,
)


def make_facts(request: DeploymentRequest | None = None, **changes: object) -> Facts:
    deployment = Deployment(
        id="d",
        service_id="s",
        number=1,
        request=request or ImageRequest(service_id="s", image="nginx"),
        status=Status.PENDING,
        created_at=NOW,
        phase_at=NOW,
    )
    facts = Facts(
        now=NOW,
        deployment=deployment,
        launch=LAUNCH,
        is_first=True,
        running=0,
        upload=None,
        artifact=None,
        nodes=(make_node("n1"),),
        replicas=(),
        others=(),
        loads={},
        building={},
    )
    return dataclasses.replace(facts, **changes)  # type: ignore[arg-type]


def make_node(node_id: str, state: NodeState = NodeState.READY, *reports: ReplicaReport) -> NodeFacts:
    return NodeFacts(
        id=node_id, name=node_id, state=state, heard_at=NOW, replicas={report.id: report for report in reports}
    )


def test_a_deployment_waits_for_the_older_ones_and_for_a_place() -> None:
    assert decide_step(make_facts(is_first=False), TIMING) == Wait()
    assert decide_step(make_facts(running=8), TIMING) == Wait()
    assert decide_step(make_facts(), TIMING) == Begin("n1", NOW + TIMING.pull)


def test_a_redeploy_starts_at_once_and_without_an_artifact_fails() -> None:
    request = RedeployRequest(service_id="s")
    step = decide_step(make_facts(request, artifact=ARTIFACT), TIMING)
    assert step == Start("a", ("n1", "n1"), NOW + TIMING.start)
    assert isinstance(decide_step(make_facts(request), TIMING), Fail)


def test_a_long_health_timeout_holds_the_gate_open_longer() -> None:
    launch = dataclasses.replace(LAUNCH, health=Health(path="/", timeout_seconds=300))
    step = decide_step(make_facts(RedeployRequest(service_id="s"), artifact=ARTIFACT, launch=launch), TIMING)
    assert isinstance(step, Start)
    assert step.deadline_at == NOW + dt.timedelta(seconds=325)


def test_a_local_image_runs_where_it_is_or_nowhere() -> None:
    local = dataclasses.replace(ARTIFACT, origin=Origin.LOCAL)
    facts = make_facts(RedeployRequest(service_id="s"), artifact=local, nodes=(make_node("n2"),))
    assert isinstance(decide_step(facts, TIMING), Hold)


states = st.sampled_from(list(ReplicaState))
node_states = st.sampled_from([NodeState.READY, NodeState.SUSPECT, NodeState.LOST, NodeState.DRAINING])
moments = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=400),
        node_states,
        st.tuples(states, states),
        st.integers(min_value=0, max_value=4),
        st.sampled_from(["done", "failed", "unreached"]),
        st.booleans(),
    ),
    max_size=30,
)


class _World:
    """A deployment to which steps are done as the core does them."""

    def __init__(self, request: DeploymentRequest, *, old: int = 0) -> None:
        self.facts = make_facts(
            request,
            artifact=ARTIFACT if isinstance(request, RedeployRequest) else None,
            others=tuple(make_old(index, "n1") for index in range(old)),
        )
        self.trail = [Status.PENDING]

    def change(self, **changes: object) -> None:
        deployment = dataclasses.replace(self.facts.deployment, **changes)  # type: ignore[arg-type]
        if deployment.status is not self.facts.deployment.status:
            self.trail.append(deployment.status)
            deployment = dataclasses.replace(deployment, phase_at=self.facts.now)
        self.facts = dataclasses.replace(self.facts, deployment=deployment)

    def take(self, step: Step, outcome: str) -> bool:
        """Do it; whether another step may be ready."""
        match step:
            case Wait():
                return False
            case Hold(deadline_at=deadline_at) | Extend(deadline_at=deadline_at):
                self.change(deadline_at=deadline_at)
            case Begin(node_id=node_id, deadline_at=deadline_at):
                self.change(status=Status.BUILDING, node_id=node_id, deadline_at=deadline_at)
            case Work():
                if outcome == "unreached":
                    return False
                if outcome == "failed":
                    self.change(status=Status.FAILED)
                else:
                    self.facts = dataclasses.replace(self.facts, artifact=ARTIFACT)
            case Start(node_ids=node_ids, deadline_at=deadline_at):
                self.change(status=Status.STARTING, deadline_at=deadline_at)
                placed = tuple(make_replica(index, node_id) for index, node_id in enumerate(node_ids))
                self.facts = dataclasses.replace(self.facts, replicas=placed)
            case Roll(node_ids=node_ids, drain=drain, deadline_at=deadline_at):
                assert self.all_healthy()
                self.change(deadline_at=deadline_at)
                here = len(self.facts.replicas)
                more = tuple(make_replica(here + number, node_id) for number, node_id in enumerate(node_ids))
                others = tuple(each for each in self.facts.others if each.id not in drain)
                self.facts = dataclasses.replace(self.facts, replicas=(*self.facts.replicas, *more), others=others)
            case Promote(deadline_at=deadline_at):
                assert self.all_healthy()
                self.change(deadline_at=deadline_at)
                launch = dataclasses.replace(self.facts.launch, promoted_deployment_id="d")
                self.facts = dataclasses.replace(self.facts, launch=launch)
            case Confirm():
                self.change(status=Status.HEALTHY)
            case Fail():
                assert self.facts.launch.promoted_deployment_id is None
                self.change(status=Status.FAILED)
        return not self.facts.deployment.status.is_finished

    def all_healthy(self) -> bool:
        (node,) = self.facts.nodes
        return node.state is NodeState.READY and all(
            node.replicas[replica.id].state is ReplicaState.HEALTHY for replica in self.facts.replicas
        )


def make_old(index: int, node_id: str) -> PlacedReplica:
    return dataclasses.replace(make_replica(index, node_id), id=f"old{index}", deployment_id="c")


def make_replica(index: int, node_id: str) -> PlacedReplica:
    name = f"r{index}"
    return PlacedReplica(
        id=name,
        service_id="s",
        deployment_id="d",
        node_id=node_id,
        index=index,
        config=freeze_config(LAUNCH, ARTIFACT, deployment_id="d", replica_id=name, index=index, drain_seconds=30),
        wanted=Wanted.RUNNING,
        created_at=NOW,
    )


ORDER = [Status.PENDING, Status.BUILDING, Status.STARTING]


@settings(max_examples=300, deadline=None)
@given(
    moments,
    st.sampled_from([ImageRequest(service_id="s", image="nginx"), RedeployRequest(service_id="s")]),
    states,
    st.integers(min_value=0, max_value=3),
)
def test_any_course_of_events_ends_within_the_deadlines(
    course: list[tuple[float, NodeState, tuple[ReplicaState, ReplicaState], int, str, bool]],
    request: DeploymentRequest,
    last: ReplicaState,
    old: int,
) -> None:
    world = _World(request, old=old)
    calm = [(step * 60.0, NodeState.SUSPECT, (last, last), 0, "unreached", False) for step in [1.0] * 60]
    elapsed = 0.0
    for seconds, node_state, replica_states, restarts, outcome, crashes in [*course, *calm]:
        elapsed += seconds
        reports = [
            ReplicaReport(id=f"r{index}", state=state, since_at=NOW, restarts=restarts, serving=restarts % 2 == index)
            for index, state in enumerate(replica_states)
        ]
        node = make_node("n1", node_state, *reports)
        world.facts = dataclasses.replace(world.facts, now=NOW + dt.timedelta(seconds=elapsed), nodes=(node,))
        for _ in range(6):
            if not world.take(decide_step(world.facts, TIMING), outcome) or crashes:
                break
        if world.facts.deployment.status.is_finished:
            break
    assert world.facts.deployment.status in {Status.HEALTHY, Status.FAILED}
    assert [status for status in ORDER if status in world.trail] == world.trail[:-1]
    assert decide_step(world.facts, TIMING) == Wait()


@given(
    st.integers(min_value=1, max_value=12),
    st.integers(min_value=0, max_value=12),
    st.sampled_from([1, 25, 50, 100, 300]),
)
def test_a_rollout_stays_within_its_surge_and_never_leaves_less_serving(
    count: int, old: int, surge_percent: int
) -> None:
    timing = dataclasses.replace(TIMING, surge_percent=surge_percent)
    world = _World(RedeployRequest(service_id="s"), old=old)
    launch = dataclasses.replace(LAUNCH, replicas=count, promoted_deployment_id="c")
    world.facts = dataclasses.replace(world.facts, launch=launch)
    surge = max(1, -(-count * surge_percent // 100))
    for _ in range(2 * count + 2):
        step = decide_step(world.facts, timing)
        if isinstance(step, Promote):
            break
        serving_before = len(world.facts.replicas) + len(world.facts.others)
        world.take(step, "done")
        serving = serving_before - (len(step.drain) if isinstance(step, Roll) else 0)
        assert serving >= min(count, old)
        assert len(world.facts.replicas) + len(world.facts.others) <= max(count + surge, old + 1)
        reports = [ReplicaReport(id=each.id, state=ReplicaState.HEALTHY, since_at=NOW) for each in world.facts.replicas]
        world.facts = dataclasses.replace(world.facts, nodes=(make_node("n1", NodeState.READY, *reports),))
    assert len(world.facts.replicas) == count


def test_what_no_node_takes_is_told_for_each_node() -> None:
    small = dataclasses.replace(make_node("n1"), memory_bytes=2**20)
    facts = make_facts(RedeployRequest(service_id="s"), artifact=ARTIFACT, nodes=(small,))
    step = decide_step(facts, TIMING)
    assert isinstance(step, Hold)
    assert step.message == "waiting for a node: node n1 has 3 of 3 MiB of memory left and 512 are needed"
    deployment = dataclasses.replace(facts.deployment, deadline_at=NOW)
    late = decide_step(dataclasses.replace(facts, deployment=deployment), TIMING)
    assert isinstance(late, Fail)
    assert late.reason.startswith("no node could take it: node n1 has 3 of 3 MiB")


def test_nothing_is_built_that_has_nowhere_to_run_and_what_was_built_waits_no_longer_for_it() -> None:
    launch = dataclasses.replace(LAUNCH, placement=Placement(labels={"disk": "ssd"}))
    step = decide_step(make_facts(launch=launch), TIMING)
    assert step == Hold(NOW + TIMING.placement, "waiting for a node: node n1 has no label disk, and disk=ssd is wanted")
    facts = make_facts(launch=launch, artifact=ARTIFACT)
    building = dataclasses.replace(
        facts.deployment, status=Status.BUILDING, node_id="n1", deadline_at=NOW + TIMING.build
    )
    step = decide_step(dataclasses.replace(facts, deployment=building), TIMING)
    assert isinstance(step, Hold)
    waiting = dataclasses.replace(building, deadline_at=step.deadline_at)
    assert decide_step(dataclasses.replace(facts, deployment=waiting), TIMING) == Wait()
    late = decide_step(dataclasses.replace(facts, deployment=waiting, now=step.deadline_at), TIMING)
    assert isinstance(late, Fail)
    assert "disk=ssd is wanted" in late.reason
