"""The steps of deployments: each is decided by a rule, taken under a lease and safe to take again."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from typing import Final

from controld.core.deployment_facts import FactsReader
from controld.core.deployment_rollout import Rollout, name_node
from controld.core.deployment_work import Interrupted, Unreached, Works
from controld.core.placing import Placing
from controld.core.ports import Database, Transaction
from controld.core.ports_deployments import (
    ArtifactStore,
    DeploymentLogStore,
    DeploymentStore,
    FleetFacts,
    LaunchStore,
    ReplicaStore,
    UploadFiles,
    UploadStore,
)
from controld.model.artifact import Artifact, ArtifactKind
from controld.model.deployment import (
    RUNNING,
    Deployment,
    ImageRequest,
    Status,
)
from controld.rules import deployment_log as phases
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
from controld.rules.work_orders import describe_source, make_order
from kit.clock import Clock
from kit.faults import Fault
from kit.ids import Ids
from wire.agent.builds import WorkDone, WorkFailed

_log = logging.getLogger(__name__)

_LONGEST_RETRY_SECONDS: Final = 10.0
_KEPT_REASON_CHARACTERS: Final = 2000


class _LeaseLost(Exception):
    """Another has the deployment now, or it has moved on: nothing of this step may be written."""


class Steps:
    """Takes the steps of deployments; any number of processes may try at one time."""

    def __init__(
        self,
        *,
        database: Database,
        deployments: DeploymentStore,
        logs: DeploymentLogStore,
        artifacts: ArtifactStore,
        replicas: ReplicaStore,
        launches: LaunchStore,
        uploads: UploadStore,
        files: UploadFiles,
        fleet: FleetFacts,
        works: Works,
        clock: Clock,
        ids: Ids,
        timing: Timing,
        lease_seconds: float,
        placing: Placing,
        kept_artifacts: int,
    ) -> None:
        self._database = database
        self._deployments = deployments
        self._logs = logs
        self._artifacts = artifacts
        self._replicas = replicas
        self._launches = launches
        self._uploads = uploads
        self._files = files
        self._fleet = fleet
        self._facts = FactsReader(
            deployments=deployments,
            artifacts=artifacts,
            replicas=replicas,
            launches=launches,
            uploads=uploads,
            clock=clock,
        )
        self._works = works
        self._clock = clock
        self._ids = ids
        self._timing = timing
        self._lease_seconds = lease_seconds
        self._rollout = Rollout(logs=logs, replicas=replicas, launches=launches, placing=placing, clock=clock)
        self._kept_artifacts = kept_artifacts

    async def take_over(self) -> None:
        """Drop leases that a process before this one left; for the only controld of a database, at its start."""
        async with self._database.write() as tx:
            await self._deployments.release_all(tx)

    async def list_due(self) -> list[str]:
        """Deployments whose next step may be ready: those that work, then those whose turn it is, oldest first."""
        async with self._database.read() as tx:
            unfinished = await self._deployments.list_unfinished(tx)
        first = {deployment.service_id: deployment for deployment in reversed(unfinished)}
        due = [
            each
            for each in unfinished
            if first[each.service_id] is each or each.status in RUNNING or each.cancel_requested_at is not None
        ]
        working = [each.id for each in due if each.status in RUNNING or each.cancel_requested_at is not None]
        places = self._timing.at_once - sum(each.status in RUNNING for each in unfinished)
        waiting = [each.id for each in due if each.id not in working]
        return working + waiting[: max(places, 0)]

    async def advance(self, deployment_id: str) -> float | None:
        """Take every step that is ready; how many seconds to leave it alone before it is tried again, or None."""
        nodes = await self._fleet.list_nodes()
        async with self._database.read() as tx:
            deployment = await self._deployments.find(tx, deployment_id)
            if deployment is None or deployment.status.is_finished:
                return None
            facts = await self._facts.read(tx, deployment, nodes)
            if facts is None or isinstance(decide_step(facts, self._timing), Wait):
                return None
        owner = self._ids.new_id()
        claimed = await self._claim(deployment_id, owner)
        if claimed is None:
            return None
        try:
            return await self._take_steps(claimed, owner)
        except _LeaseLost:
            return None
        finally:
            with contextlib.suppress(Fault):
                async with self._database.write() as tx:
                    await self._deployments.release(tx, deployment_id, owner=owner)

    async def give_up(self, deployment_id: str, *, why: str) -> None:
        """End the deployment as failed whatever breaks its steps, and drain what it started."""
        owner = self._ids.new_id()
        deployment = await self._claim(deployment_id, owner)
        if deployment is None:
            return
        now = self._clock.now()
        async with self._database.write() as tx:
            await self._mark_failed(tx, deployment, owner, reason=why, at=now)
            await self._replicas.drain(tx, await self._replicas.list_of_deployment(tx, deployment.id), at=now)
            await self._tell(tx, deployment, phases.ERROR, why)

    async def _claim(self, deployment_id: str, owner: str) -> Deployment | None:
        now = self._clock.now()
        async with self._database.write() as tx:
            return await self._deployments.claim(
                tx, deployment_id, owner=owner, now=now, until=now + dt.timedelta(seconds=self._lease_seconds)
            )

    async def _take_steps(self, deployment: Deployment, owner: str) -> float | None:
        while not deployment.status.is_finished:
            nodes = await self._fleet.list_nodes()
            async with self._database.write() as tx:
                await tx.lock("deployments at once")
                found = await self._deployments.find(tx, deployment.id)
                if found is None:
                    return None
                deployment = found
                facts = await self._facts.read(tx, deployment, nodes)
                if facts is None:
                    return None
                step = decide_step(facts, self._timing)
                if not isinstance(step, (Wait, Work, Fail)):
                    await self._apply(tx, step, facts, owner)
            if isinstance(step, Wait):
                return None
            if isinstance(step, Work):
                retry_seconds = await self._work(facts, owner)
                if retry_seconds is not None:
                    return retry_seconds
            elif isinstance(step, Fail):
                await self._fail(facts, step, owner)
                return None
            elif isinstance(step, Confirm):
                if facts.upload is not None:
                    await self._files.remove(facts.upload.id)
                return None
        return None

    async def _apply(self, tx: Transaction, step: Step, facts: Facts, owner: str) -> None:
        deployment = facts.deployment
        match step:
            case Hold(deadline_at=deadline_at, message=message):
                await self._change(tx, deployment, owner, deadline_at=deadline_at)
                await self._tell(tx, deployment, phases.START, message)
            case Begin(node_id=node_id, deadline_at=deadline_at):
                moved = deployment.status is Status.BUILDING
                await self._change(
                    tx,
                    deployment,
                    owner,
                    status=Status.BUILDING.value,
                    node_id=node_id,
                    deadline_at=deadline_at,
                    attempts=0,
                    **({} if moved else {"phase_at": facts.now}),
                )
                what = "pulling the image" if isinstance(deployment.request, ImageRequest) else "building"
                await self._tell(tx, deployment, phases.START, f"{what} on node {name_node(facts.nodes, node_id)}")
            case Start():
                await self._start(tx, step, facts, owner)
            case Roll(deadline_at=deadline_at):
                await self._change(tx, deployment, owner, deadline_at=deadline_at)
                await self._rollout.roll(tx, step, facts)
            case Extend(deadline_at=deadline_at):
                await self._change(tx, deployment, owner, deadline_at=deadline_at)
            case Promote(deadline_at=deadline_at):
                await self._promote(tx, facts, owner, deadline_at=deadline_at)
            case Confirm(late=late):
                await self._confirm(tx, facts, owner, late=late)
            case Wait() | Work() | Fail():
                raise AssertionError(f"{step} is not taken in one transaction")

    async def _start(self, tx: Transaction, step: Start, facts: Facts, owner: str) -> None:
        deployment, artifact = facts.deployment, facts.artifact
        assert artifact is not None
        await self._change(
            tx,
            deployment,
            owner,
            status=Status.STARTING.value,
            artifact_id=artifact.id,
            phase_at=facts.now,
            deadline_at=step.deadline_at,
        )
        await self._rollout.start(tx, step, facts)

    async def _promote(self, tx: Transaction, facts: Facts, owner: str, *, deadline_at: dt.datetime) -> None:
        """Switch: from here on the new replicas are the service, and the old ones drain."""
        deployment = facts.deployment
        await self._change(tx, deployment, owner, deadline_at=deadline_at, ready_at=facts.now)
        await self._launches.promote(tx, deployment.service_id, deployment.id)
        whole = await self._replicas.list_of_service(tx, deployment.service_id)
        await self._replicas.drain(tx, [each for each in whole if each.deployment_id != deployment.id], at=facts.now)
        await self._tell(tx, deployment, phases.HEALTHCHECK, "passed")

    async def _confirm(self, tx: Transaction, facts: Facts, owner: str, *, late: bool) -> None:
        deployment, now = facts.deployment, facts.now
        await self._change(
            tx, deployment, owner, status=Status.HEALTHY.value, phase_at=now, deadline_at=None, finished_at=now
        )
        await self._deployments.retire(tx, deployment.service_id, status=Status.INACTIVE, but=deployment.id)
        await self._artifacts.prune(tx, deployment.service_id, keep=self._kept_artifacts)
        await self._drop_upload(tx, facts)
        word = "is healthy; its node has not said that ingress leads to it" if late else "takes the traffic"
        await self._tell(tx, deployment, phases.HEALTHY, f"deployment {deployment.number} {word}")

    async def _fail(self, facts: Facts, step: Fail, owner: str) -> None:
        deployment = facts.deployment
        if deployment.status is Status.BUILDING and deployment.artifact_id is None:
            await self._works.cancel(make_order(facts))
        now = self._clock.now()
        reason = step.reason[:_KEPT_REASON_CHARACTERS]
        async with self._database.write() as tx:
            await self._mark_failed(tx, deployment, owner, reason=phases.add_last_line(reason, step.lines), at=now)
            await self._rollout.take_back(tx, facts, at=now)
            await self._drop_upload(tx, facts)
            lines = [phases.clean_text(f"| {line}") for line in step.lines]
            await self._logs.append(tx, deployment.id, at=now, phase=phases.RUNTIME_START, texts=lines)
            await self._tell(tx, deployment, phases.ERROR, reason)
        if facts.upload is not None:
            await self._files.remove(facts.upload.id)

    async def _mark_failed(
        self, tx: Transaction, deployment: Deployment, owner: str, *, reason: str, at: dt.datetime
    ) -> None:
        await self._change(
            tx,
            deployment,
            owner,
            status=Status.FAILED.value,
            reason=reason,
            phase_at=at,
            deadline_at=None,
            finished_at=at,
        )

    async def _work(self, facts: Facts, owner: str) -> float | None:
        deployment = facts.deployment
        outcome = await self._works.run(make_order(facts), owner=owner)
        match outcome:
            case WorkDone():
                await self._keep_artifact(facts, outcome, owner)
                return None
            case WorkFailed(message=message):
                await self._fail(facts, Fail(message), owner)
                return None
            case Unreached(reason=reason):
                async with self._database.write() as tx:
                    await self._change(tx, deployment, owner, attempts=deployment.attempts + 1)
                    if deployment.attempts == 0:
                        node = name_node(facts.nodes, deployment.node_id)
                        await self._tell(tx, deployment, phases.RESTART, f"trying again on node {node}: {reason}")
                return float(min(2.0**deployment.attempts / 2, _LONGEST_RETRY_SECONDS))
            case Interrupted.TAKEN:
                raise _LeaseLost
            case Interrupted.CANCELLED | Interrupted.LATE:
                return None

    async def _keep_artifact(self, facts: Facts, done: WorkDone, owner: str) -> None:
        deployment = facts.deployment
        artifact = Artifact(
            id=self._ids.new_id(),
            service_id=deployment.service_id,
            digest=done.digest,
            kind=ArtifactKind.OCI_IMAGE,
            source=describe_source(facts, done),
            origin=done.origin,
            image=done.image,
            node_id=deployment.node_id,
            size_bytes=done.size_bytes,
            created_at=self._clock.now(),
        )
        async with self._database.write() as tx:
            await self._artifacts.insert(tx, artifact)
            await self._change(tx, deployment, owner, artifact_id=artifact.id)

    async def _change(self, tx: Transaction, deployment: Deployment, owner: str, **changes: object) -> None:
        if not await self._deployments.change(tx, deployment, owner=owner, **changes):
            raise _LeaseLost

    async def _tell(self, tx: Transaction, deployment: Deployment, phase: str, text: str) -> None:
        await self._logs.append(tx, deployment.id, at=self._clock.now(), phase=phase, texts=[phases.clean_text(text)])

    async def _drop_upload(self, tx: Transaction, facts: Facts) -> None:
        if facts.upload is not None:
            await self._uploads.delete(tx, facts.upload.id)
