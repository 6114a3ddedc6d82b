"""The next step of a deployment, decided from what is known of it at one moment."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from controld.model.artifact import Artifact
from controld.model.deployment import (
    Deployment,
    GitRequest,
    ImageRequest,
    RedeployRequest,
    Status,
    UploadRequest,
)
from controld.model.fleet import NodeFacts
from controld.model.launch import Launch
from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from controld.model.upload import Upload
from controld.rules.deployment_log import render_moment
from controld.rules.placement import Load, choose_builder, place
from wire.link import ReplicaReport, ReplicaState

_DOOMED_RESTARTS = 2
_EXTEND_BY_AT_LEAST = dt.timedelta(seconds=5)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long phases may take, and how many deployments work at one time."""

    placement: dt.timedelta = dt.timedelta(seconds=60)
    build: dt.timedelta = dt.timedelta(minutes=15)
    pull: dt.timedelta = dt.timedelta(minutes=10)
    start: dt.timedelta = dt.timedelta(seconds=60)
    switch: dt.timedelta = dt.timedelta(seconds=10)
    at_once: int = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the decision looks at."""

    now: dt.datetime
    deployment: Deployment
    launch: Launch
    is_first: bool
    """No older deployment of the service is unfinished."""
    running: int
    """Other deployments that are building or starting, of all services."""
    upload: Upload | None
    """The upload that the request names, when it is the service's."""
    artifact: Artifact | None
    """The deployment's own, or for a redeploy the one it is to run."""
    nodes: tuple[NodeFacts, ...]
    replicas: tuple[PlacedReplica, ...]
    """Of this deployment."""
    serving: tuple[str, ...]
    """The node of each other running replica of the service."""
    loads: Mapping[str, Load]
    building: Mapping[str, int]
    """How many deployments build on each node."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before something changes, or until the deadline."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """It is the deployment's turn and no node takes it: wait, until a deadline from now on."""

    deadline_at: dt.datetime
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Begin:
    """Build or pull on this node, until the deadline."""

    node_id: str
    deadline_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """Carry out, or join, the build or pull on the deployment's node."""

    node_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """Place a replica on each of these nodes, and gate them until the deadline."""

    artifact_id: str
    node_ids: tuple[str, ...]
    deadline_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Extend:
    """An image is being pulled for a replica: the gate's deadline moves."""

    deadline_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Promote:
    """Every new replica is healthy: switch, and give ingress until the deadline to follow."""

    deadline_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Confirm:
    """Ingress leads to the new replicas, or `late` has not said so in time: the deployment is done."""

    late: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Fail:
    """End it, for this reason; `lines` is the end of the log of the replica that shows why."""

    reason: str
    lines: tuple[str, ...] = ()


Step = Wait | Hold | Begin | Work | Start | Extend | Promote | Confirm | Fail


def decide_step(facts: Facts, timing: Timing) -> Step:
    """The step to take now.

    Whatever nodes report or fail to report, repeated asking at growing moments ends in `Confirm` or `Fail`, once the
    older deployments of the service have ended.
    """
    deployment = facts.deployment
    if deployment.status is Status.STARTING and facts.launch.promoted_deployment_id == deployment.id:
        return _decide_switching(facts)
    if deployment.cancel_requested_at is not None:
        return Fail(deployment.reason or "cancelled")
    match deployment.status:
        case Status.PENDING:
            return _decide_pending(facts, timing)
        case Status.BUILDING:
            return _decide_building(facts, timing)
        case Status.STARTING:
            return _decide_starting(facts, timing)
        case Status.HEALTHY | Status.FAILED | Status.STOPPED | Status.INACTIVE:
            return Wait()


def start_deadline(facts: Facts, timing: Timing) -> dt.datetime:
    """When the gate of replicas that start now closes; it leaves room for the service's own health timeout."""
    least = dt.timedelta(seconds=facts.launch.health.timeout_seconds + 25)
    return facts.now + max(timing.start, least)


def _decide_pending(facts: Facts, timing: Timing) -> Step:
    deployment, now = facts.deployment, facts.now
    if not facts.is_first:
        return Wait()
    if (refusal := _refuse(facts)) is not None:
        return Fail(refusal)
    if deployment.deadline_at is not None and now >= deployment.deadline_at:
        return Fail(f"no node could take it: {describe_nodes(facts.nodes)}")
    if facts.running >= timing.at_once:
        return Wait()
    if isinstance(deployment.request, RedeployRequest):
        step: Step | None = _start(facts, timing)
    else:
        step = _begin(facts, deadline_at=now + _work_time(deployment, timing))
    if step is not None:
        return step
    if deployment.deadline_at is not None:
        return Wait()
    return Hold(now + timing.placement, f"waiting for a node: {describe_nodes(facts.nodes)}")


def _refuse(facts: Facts) -> str | None:
    match facts.deployment.request:
        case UploadRequest(upload_id=upload_id):
            if facts.upload is None:
                return f"upload {upload_id} is not there: it was never made for this service, has expired or is used up"
        case ImageRequest():
            if facts.launch.image is None:
                return f"the service's source is {facts.launch.source_kind}, not external_image"
        case RedeployRequest():
            if facts.artifact is None:
                return "there is no artifact to deploy again: nothing is promoted, or it is no longer kept"
        case GitRequest():
            return "this version does not build from git"
    return None


def _work_time(deployment: Deployment, timing: Timing) -> dt.timedelta:
    return timing.pull if isinstance(deployment.request, ImageRequest) else timing.build


def _begin(facts: Facts, *, deadline_at: dt.datetime) -> Begin | None:
    node_id = choose_builder(facts.nodes, loads=facts.loads, building=facts.building, serving=facts.serving)
    return None if node_id is None else Begin(node_id, deadline_at)


def _start(facts: Facts, timing: Timing) -> Start | None:
    assert facts.artifact is not None
    nodes = place(
        facts.launch.replicas,
        facts.nodes,
        artifact=facts.artifact,
        limits=facts.launch.limits,
        loads=facts.loads,
        taken=facts.serving,
    )
    if len(nodes) < facts.launch.replicas:
        return None
    return Start(facts.artifact.id, nodes, start_deadline(facts, timing))


def _decide_building(facts: Facts, timing: Timing) -> Step:
    deployment, now = facts.deployment, facts.now
    node = _find(facts.nodes, deployment.node_id)
    deadline_at = deployment.deadline_at or deployment.phase_at + _work_time(deployment, timing)
    if now >= deadline_at:
        return Fail(_describe_late_work(facts, node))
    if facts.artifact is not None:
        return _start(facts, timing) or Wait()
    if node is None or node.state == NodeState.LOST:
        return _begin(facts, deadline_at=deadline_at) or Wait()
    return Work(node.id)


def _describe_late_work(facts: Facts, node: NodeFacts | None) -> str:
    if facts.artifact is not None:
        return f"no node could take its replicas in time: {describe_nodes(facts.nodes)}"
    what = "the pull" if isinstance(facts.deployment.request, ImageRequest) else "the build"
    minutes = (facts.now - facts.deployment.phase_at).total_seconds() / 60
    late = f"{what} did not finish within {minutes:.0f} min"
    if node is None:
        return f"{late}: its node was removed"
    return late if node.state == NodeState.READY else f"{late}: {describe_node(node)}"


def _decide_starting(facts: Facts, timing: Timing) -> Step:
    deployment, now = facts.deployment, facts.now
    deadline_at = deployment.deadline_at or deployment.phase_at + timing.start
    seen = [_Seen.of(replica, facts.nodes) for replica in facts.replicas]
    if not seen or any(each.node is None for each in seen):
        return Fail("a node was removed while the new replicas started on it")
    if all(each.is_healthy for each in seen):
        return Promote(now + timing.switch)
    waited_for = [each for each in seen if not each.is_healthy]
    if all(each.is_doomed for each in waited_for):
        return _describe_failure(waited_for[0], late=False)
    if now >= deadline_at:
        return _describe_failure(waited_for[0], late=True)
    if any(each.state is ReplicaState.PULLING for each in waited_for):
        most = deployment.phase_at + timing.pull + timing.start
        later = min(start_deadline(facts, timing), most)
        if later - deadline_at >= _EXTEND_BY_AT_LEAST:
            return Extend(later)
    return Wait()


def _decide_switching(facts: Facts) -> Step:
    """After the switch nothing takes it back; only when it is told as done is open."""
    seen = [_Seen.of(replica, facts.nodes) for replica in facts.replicas]
    if all(each.report is not None and each.report.serving for each in seen):
        return Confirm(late=False)
    deadline_at = facts.deployment.deadline_at
    return Confirm(late=True) if deadline_at is None or facts.now >= deadline_at else Wait()


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    replica: PlacedReplica
    node: NodeFacts | None
    report: ReplicaReport | None

    @classmethod
    def of(cls, replica: PlacedReplica, nodes: tuple[NodeFacts, ...]) -> _Seen:
        node = _find(nodes, replica.node_id)
        return cls(replica, node, None if node is None else node.replicas.get(replica.id))

    @property
    def state(self) -> ReplicaState:
        return ReplicaState.PENDING if self.report is None else self.report.state

    @property
    def is_healthy(self) -> bool:
        """Healthy by a report that is not old."""
        return self.state is ReplicaState.HEALTHY and self.node is not None and self.node.state == NodeState.READY

    @property
    def is_doomed(self) -> bool:
        """It will not come up by waiting."""
        if self.report is None:
            return False
        return self.state is ReplicaState.FAILED or (
            self.state in {ReplicaState.EXITED, ReplicaState.STARTING, ReplicaState.UNHEALTHY}
            and self.report.restarts >= _DOOMED_RESTARTS
        )


def _describe_failure(seen: _Seen, *, late: bool) -> Fail:
    name = f"replica {seen.replica.index}"
    node, report = seen.node, seen.report
    if node is not None and node.state != NodeState.READY:
        return Fail(f"{name} could not be watched: {describe_node(node)}")
    if report is None:
        return Fail(f"{name} was not started in time: its node reports nothing of it")
    if late and report.state is ReplicaState.PULLING:
        return Fail(f"{name} did not get its image in time", report.last_lines)
    why = report.reason or _word_state(report)
    tries = f" ({report.restarts} restarts)" if report.restarts else ""
    deadline = " within its deadline" if late else ""
    return Fail(f"{name} did not become healthy{deadline}: {why}{tries}", report.last_lines)


def _word_state(report: ReplicaReport) -> str:
    if report.oom_killed:
        return "it ran out of memory and was killed"
    if report.exit_code is not None:
        return f"it exited with code {report.exit_code}"
    return f"it is {report.state.value}"


def describe_nodes(nodes: tuple[NodeFacts, ...]) -> str:
    """What stands in the way on each node, in a sentence; at most five are named."""
    if not nodes:
        return "no node is enrolled"
    told = "; ".join(describe_node(node) for node in nodes[:5])
    return told if len(nodes) <= 5 else f"{told}; and {len(nodes) - 5} more"


def describe_node(node: NodeFacts) -> str:
    """The node's state and when it was last heard."""
    if node.state == NodeState.READY:
        return f"node {node.name} is ready and cannot get the image"
    heard = "never heard" if node.heard_at is None else f"last heard at {render_moment(node.heard_at)}"
    return f"node {node.name} is {node.state.value}, {heard}"


def _find(nodes: tuple[NodeFacts, ...], node_id: str | None) -> NodeFacts | None:
    return next((node for node in nodes if node.id == node_id), None)
