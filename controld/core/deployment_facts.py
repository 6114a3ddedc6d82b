"""What is known of a deployment when its next step is decided, read in one transaction."""

from __future__ import annotations

from collections import Counter

from controld.core.ports import Transaction
from controld.core.ports_deployments import ArtifactStore, DeploymentStore, LaunchStore, ReplicaStore, UploadStore
from controld.model.artifact import Artifact
from controld.model.deployment import RUNNING, Deployment, RedeployRequest, Status, UploadRequest
from controld.model.fleet import NodeFacts
from controld.model.replica import PlacedReplica
from controld.model.upload import Upload
from controld.rules.deployment import Facts
from controld.rules.placement import compute_loads
from kit.clock import Clock
from wire.spec import Wanted


class FactsReader:
    """Reads the facts of one deployment."""

    def __init__(
        self,
        *,
        deployments: DeploymentStore,
        artifacts: ArtifactStore,
        replicas: ReplicaStore,
        launches: LaunchStore,
        uploads: UploadStore,
        clock: Clock,
    ) -> None:
        self._deployments = deployments
        self._artifacts = artifacts
        self._replicas = replicas
        self._launches = launches
        self._uploads = uploads
        self._clock = clock

    async def read(self, tx: Transaction, deployment: Deployment, nodes: tuple[NodeFacts, ...]) -> Facts | None:
        """The facts, or None when the service is gone."""
        launch = await self._launches.find(tx, deployment.service_id)
        if launch is None:
            return None
        unfinished = await self._deployments.list_unfinished(tx)
        others = [each for each in unfinished if each.id != deployment.id]
        running = await self._replicas.list_wanted(tx, Wanted.RUNNING)
        siblings: list[PlacedReplica] = []
        rest: list[PlacedReplica] = []
        for each in running:
            is_other = each.service_id == deployment.service_id and each.deployment_id != deployment.id
            (siblings if is_other else rest).append(each)
        return Facts(
            now=self._clock.now(),
            deployment=deployment,
            launch=launch,
            is_first=not any(
                each.service_id == deployment.service_id and each.number < deployment.number for each in others
            ),
            running=sum(each.status in RUNNING for each in others),
            upload=await self._find_upload(tx, deployment),
            artifact=await self._find_artifact(tx, deployment, launch.promoted_deployment_id),
            nodes=nodes,
            replicas=tuple(each for each in running if each.deployment_id == deployment.id),
            others=tuple(siblings),
            loads=compute_loads(rest),
            building=Counter(each.node_id for each in others if each.status is Status.BUILDING and each.node_id),
        )

    async def _find_upload(self, tx: Transaction, deployment: Deployment) -> Upload | None:
        if not isinstance(deployment.request, UploadRequest):
            return None
        found = await self._uploads.find(tx, deployment.request.upload_id)
        return found if found is not None and found.service_id == deployment.service_id else None

    async def _find_artifact(
        self, tx: Transaction, deployment: Deployment, promoted_deployment_id: str | None
    ) -> Artifact | None:
        if deployment.artifact_id is not None:
            return await self._artifacts.find(tx, deployment.artifact_id)
        if not isinstance(deployment.request, RedeployRequest):
            return None
        if deployment.request.artifact_id is not None:
            found = await self._artifacts.find(tx, deployment.request.artifact_id)
            return found if found is not None and found.service_id == deployment.service_id else None
        if promoted_deployment_id is None:
            return None
        return await self._artifacts.find_of_deployment(tx, promoted_deployment_id)
