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
from controld.model.replica import PlacedReplica
from controld.rules.deployment import (
    Begin,
    Confirm,
    Extend,
    Facts,
    Fail,
    Hold,
    Promote,
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
        serving=(),
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

    def __init__(self, request: DeploymentRequest) -> None:
        self.facts = make_facts(request, artifact=ARTIFACT if isinstance(request, RedeployRequest) else None)
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
                self.facts = dataclasses.replace(self.facts, replicas=tuple(map(make_replica, range(2), node_ids)))
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
@given(moments, st.sampled_from([ImageRequest(service_id="s", image="nginx"), RedeployRequest(service_id="s")]), states)
def test_any_course_of_events_ends_within_the_deadlines(
    course: list[tuple[float, NodeState, tuple[ReplicaState, ReplicaState], int, str, bool]],
    request: DeploymentRequest,
    last: ReplicaState,
) -> None:
    world = _World(request)
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
