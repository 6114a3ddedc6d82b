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
from controld.rules.deployment_gate import Seen, describe_failure, find_node
from controld.rules.placement import (
    Load,
    Need,
    Promise,
    allows_node,
    choose_builder,
    describe_state,
    explain_shortage,
    place,
)
from wire.link import ReplicaState

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
    surge_percent: int = 25
    """So many of a service's replicas, and one at least, may run beyond what is wanted while a release takes over."""
    promise: Promise = dataclasses.field(default_factory=Promise)


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
    others: tuple[PlacedReplica, ...]
    """The running replicas of the service's other deployments."""
    loads: Mapping[str, Load]
    """Of each node, without the `others`, which go when this one takes over."""
    building: Mapping[str, int]
    """How many deployments build on each node."""

    @property
    def count(self) -> int:
        """How many replicas the release needs; one at least, for its gate to mean something."""
        return max(1, self.launch.replicas)


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
class Roll:
    """The replicas so far are healthy: let them share the traffic, drain as many old ones, and start the next."""

    node_ids: tuple[str, ...]
    drain: tuple[str, ...]
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


Step = Wait | Hold | Begin | Work | Start | Roll | Extend | Promote | Confirm | Fail


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
        return Fail(f"no node could take it: {_describe_shortage(facts, timing)}")
    if facts.running >= timing.at_once:
        return Wait()
    if isinstance(deployment.request, RedeployRequest):
        step: Step | None = _start(facts, timing)
    elif _place(facts, timing, 1):
        step = _begin(facts, deadline_at=now + _work_time(deployment, timing))
    else:
        step = None  # what is built would have nowhere to run
    if step is not None:
        return step
    if deployment.deadline_at is not None:
        return Wait()
    return Hold(now + timing.placement, f"waiting for a node: {_describe_shortage(facts, timing)}")


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
        case GitRequest(repo_url=repo_url):
            if facts.launch.git is None:
                return f"the service's source is {facts.launch.source_kind}, not git"
            if facts.launch.git.repo_url != repo_url:
                return "the service's repository is another one meanwhile: deploy it again"
    return None


def _work_time(deployment: Deployment, timing: Timing) -> dt.timedelta:
    return timing.pull if isinstance(deployment.request, ImageRequest) else timing.build


def _begin(facts: Facts, *, deadline_at: dt.datetime) -> Begin | None:
    """Where the service may run, when a node there is ready: an image that comes from no registry stays there."""
    serving = [replica.node_id for replica in facts.others]
    own = [node for node in facts.nodes if node.state == NodeState.READY and allows_node(node, facts.launch.placement)]
    node_id = choose_builder(own or facts.nodes, loads=facts.loads, building=facts.building, serving=serving)
    return None if node_id is None else Begin(node_id, deadline_at)


def _start(facts: Facts, timing: Timing) -> Start | None:
    """The first batch: as many as the surge leaves room for beside those that run."""
    assert facts.artifact is not None
    batch = max(1, min(facts.count, facts.count + _surge(facts, timing) - len(facts.others)))
    nodes = _place(facts, timing, batch)
    return Start(facts.artifact.id, nodes, start_deadline(facts, timing)) if len(nodes) == batch else None


def _surge(facts: Facts, timing: Timing) -> int:
    return max(1, -(-facts.count * timing.surge_percent // 100))


def _need(facts: Facts, timing: Timing) -> Need:
    launch = facts.launch
    return Need(artifact=facts.artifact, limits=launch.limits, placement=launch.placement, promise=timing.promise)


def _place(facts: Facts, timing: Timing, count: int) -> tuple[str, ...]:
    taken = [replica.node_id for replica in facts.replicas]
    return place(count, facts.nodes, need=_need(facts, timing), loads=facts.loads, taken=taken)


def _describe_shortage(facts: Facts, timing: Timing) -> str:
    taken = [replica.node_id for replica in facts.replicas]
    return explain_shortage(facts.nodes, need=_need(facts, timing), loads=facts.loads, taken=taken)


def _decide_building(facts: Facts, timing: Timing) -> Step:
    deployment, now = facts.deployment, facts.now
    node = find_node(facts.nodes, deployment.node_id)
    deadline_at = deployment.deadline_at or deployment.phase_at + _work_time(deployment, timing)
    if now >= deadline_at:
        return Fail(_describe_late_work(facts, node, timing))
    if facts.artifact is not None:
        return _start(facts, timing) or _hold(facts, timing, deadline_at=deadline_at)
    if node is None or node.state == NodeState.LOST:
        return _begin(facts, deadline_at=deadline_at) or Wait()
    return Work(node.id)


def _hold(facts: Facts, timing: Timing, *, deadline_at: dt.datetime) -> Step:
    """Wait for a place as long as any deployment does, and not for as long as the build might have taken."""
    if deadline_at - facts.now <= timing.placement:
        return Wait()
    return Hold(facts.now + timing.placement, f"waiting for a node: {_describe_shortage(facts, timing)}")


def _describe_late_work(facts: Facts, node: NodeFacts | None, timing: Timing) -> str:
    if facts.artifact is not None:
        return f"no node could take its replicas in time: {_describe_shortage(facts, timing)}"
    what = "the pull" if isinstance(facts.deployment.request, ImageRequest) else "the build"
    minutes = (facts.now - facts.deployment.phase_at).total_seconds() / 60
    late = f"{what} did not finish within {minutes:.0f} min"
    if node is None:
        return f"{late}: its node was removed"
    return late if node.state == NodeState.READY else f"{late}: node {node.name} {describe_state(node)}"


def _decide_starting(facts: Facts, timing: Timing) -> Step:
    deployment, now = facts.deployment, facts.now
    deadline_at = deployment.deadline_at or deployment.phase_at + timing.start
    seen = [Seen.of(replica, facts.nodes) for replica in facts.replicas]
    if not seen or any(each.node is None for each in seen):
        return Fail("a node was removed while the new replicas started on it")
    if all(each.is_healthy for each in seen):
        return _decide_next_batch(facts, timing, deadline_at=deadline_at)
    waited_for = [each for each in seen if not each.is_healthy]
    if all(each.is_doomed for each in waited_for):
        return Fail(*describe_failure(waited_for[0], late=False))
    if now >= deadline_at:
        return Fail(*describe_failure(waited_for[0], late=True))
    if any(each.state is ReplicaState.PULLING for each in waited_for):
        most = deployment.phase_at + timing.pull + timing.start
        later = min(start_deadline(facts, timing), most)
        if later - deadline_at >= _EXTEND_BY_AT_LEAST:
            return Extend(later)
    return Wait()


def _decide_next_batch(facts: Facts, timing: Timing, *, deadline_at: dt.datetime) -> Step:
    """All that was started is healthy: the switch when these are enough, else the next replicas.

    As many old ones drain as leave the service with what it needs; with the new ones that start it stays within the
    surge.
    """
    here, old = len(facts.replicas), len(facts.others)
    if here >= facts.count:
        return Promote(facts.now + timing.switch)
    leaving = max(0, min(old, here + old - facts.count))
    batch = max(1, min(facts.count - here, facts.count + _surge(facts, timing) - here - (old - leaving)))
    nodes = _place(facts, timing, batch)
    if len(nodes) == batch:
        drain = sorted(facts.others, key=lambda each: (-each.index, each.id))[:leaving]
        return Roll(nodes, tuple(each.id for each in drain), start_deadline(facts, timing))
    if facts.now >= deadline_at:
        return Fail(f"no node could take more of its replicas in time: {_describe_shortage(facts, timing)}")
    return Wait()


def _decide_switching(facts: Facts) -> Step:
    """After the switch nothing takes it back; only when it is told as done is open."""
    seen = [Seen.of(replica, facts.nodes) for replica in facts.replicas]
    if all(each.report is not None and each.report.serving for each in seen):
        return Confirm(late=False)
    deadline_at = facts.deployment.deadline_at
    return Confirm(late=True) if deadline_at is None or facts.now >= deadline_at else Wait()
