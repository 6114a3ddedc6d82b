"""What a person does to a running service: stop, start, restart, and roll back."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from controld.core.deployments import Deployments
from controld.core.faults import NothingToRun, ServiceNotFound
from controld.core.ports import Database, Transaction
from controld.core.ports_deployments import AuditTrail, DeploymentStore, LaunchStore, ReplicaStore
from controld.model.artifact import Artifact
from controld.model.caller import Caller
from controld.model.deployment import Deployment, RedeployRequest, Status
from controld.model.launch import Launch
from controld.rules.access import check
from kit.clock import Clock
from kit.faults import Invalid


class Action(enum.Enum):
    """What can be done."""

    STOP = "stop"
    START = "start"
    RESTART = "restart"
    ROLLBACK = "rollback"


class ServiceActions:
    """Writes down what is wanted of a service; the loops carry it out."""

    def __init__(
        self,
        *,
        database: Database,
        operations: Deployments,
        deployments: DeploymentStore,
        replicas: ReplicaStore,
        launches: LaunchStore,
        audit: AuditTrail,
        clock: Clock,
    ) -> None:
        self._database = database
        self._operations = operations
        self._deployments = deployments
        self._replicas = replicas
        self._launches = launches
        self._audit = audit
        self._clock = clock

    async def act(self, caller: Caller, service_id: str, action: Action | None, *, word: str) -> Deployment | None:
        """Do what `word` says, and return the deployment that carries it out, if it takes one.

        Stopping what does not run and starting what runs change nothing. Raises ServiceNotFound, Invalid for a
        word without an action, and NothingToRun where no artifact is kept that could be run.
        """
        async with self._database.write() as tx:
            await tx.lock("deployments at once")
            launch = await self._launches.find(tx, service_id)
            missing = ServiceNotFound(f"cannot find service {service_id}")
            if launch is None:
                raise missing
            check(caller, "service.stop", project_id=launch.project_id, missing=missing)
            if action is None:
                raise Invalid(f"unsupported lifecycle action: {word}")
            deployment = await self._act(tx, caller, launch, action)
            await self._audit.record(
                tx,
                caller,
                action=f"service.{action.value}",
                object_kind="service",
                object_id=service_id,
                project_id=launch.project_id,
                details={"deployment_id": None if deployment is None else deployment.id},
            )
            return deployment

    async def _act(self, tx: Transaction, caller: Caller, launch: Launch, action: Action) -> Deployment | None:
        known = await self._deployments.list_of_service(tx, launch.service_id)
        promoted = next((pair for pair in known if pair[0].id == launch.promoted_deployment_id), None)
        if action is Action.STOP:
            await self._stop(tx, caller, launch, known)
            return None
        artifact: Artifact | None = None
        match action:
            case Action.START:
                if promoted is not None:
                    return None
                artifact = _newest(known, but=None)
            case Action.RESTART:
                artifact = None if promoted is None else promoted[1]
            case Action.ROLLBACK:
                current = promoted or next((pair for pair in known if pair[0].ready_at is not None), None)
                artifact = _newest(known, but=current)
        if artifact is None:
            raise NothingToRun(f"cannot {action.value} {launch.service}: no artifact is kept for that; deploy it first")
        request = RedeployRequest(service_id=launch.service_id, artifact_id=artifact.id)
        return await self._operations.add(tx, caller, launch, request)

    async def _stop(
        self, tx: Transaction, caller: Caller, launch: Launch, known: Iterable[tuple[Deployment, Artifact | None]]
    ) -> None:
        now = self._clock.now()
        who = caller.username or "the holder of the setup secret"
        for deployment, _ in known:
            if not deployment.status.is_finished:
                await self._deployments.request_cancel(
                    tx, deployment.id, at=now, reason=f"the service was stopped by {who}"
                )
        await self._launches.promote(tx, launch.service_id, None)
        await self._deployments.retire(tx, launch.service_id, status=Status.STOPPED)
        whole = await self._replicas.list_of_service(tx, launch.service_id)
        unfinished = {deployment.id for deployment, _ in known if not deployment.status.is_finished}
        await self._replicas.drain(tx, [each for each in whole if each.deployment_id not in unfinished], at=now)


def _newest(
    known: Iterable[tuple[Deployment, Artifact | None]], *, but: tuple[Deployment, Artifact | None] | None
) -> Artifact | None:
    """The artifact of the newest deployment that was healthy once; with `but`, of those before it, and another one."""
    for deployment, artifact in known:
        if artifact is None or deployment.ready_at is None:
            continue
        if but is None:
            return artifact
        another = but[1] is None or artifact.digest != but[1].digest
        if deployment.number < but[0].number and another:
            return artifact
    return None
