"""Replicas of a release beside those that it takes over from: started in batches, and taken back when one fails."""

from __future__ import annotations

import datetime as dt

from controld.core.placing import Placing
from controld.core.ports import Transaction
from controld.core.ports_deployments import DeploymentLogStore, LaunchStore, ReplicaStore
from controld.model.deployment import RedeployRequest
from controld.model.fleet import NodeFacts
from controld.rules import deployment_log as phases
from controld.rules.deployment import Facts, Roll, Start
from kit.clock import Clock


class Rollout:
    """Writes down which replicas of a deployment should run, as its steps say."""

    def __init__(
        self,
        *,
        logs: DeploymentLogStore,
        replicas: ReplicaStore,
        launches: LaunchStore,
        placing: Placing,
        clock: Clock,
    ) -> None:
        self._logs = logs
        self._replicas = replicas
        self._launches = launches
        self._placing = placing
        self._clock = clock

    async def start(self, tx: Transaction, step: Start, facts: Facts) -> None:
        """Start the first batch."""
        assert facts.artifact is not None
        if isinstance(facts.deployment.request, RedeployRequest):
            await self._tell(tx, facts, phases.REDEPLOY, f"artifact {facts.artifact.digest}")
        await self._place(tx, step, facts)

    async def roll(self, tx: Transaction, step: Roll, facts: Facts) -> None:
        """What is healthy joins the old replicas in the traffic, and of those as many go; the next ones start."""
        service_id, deployment_id = facts.launch.service_id, facts.deployment.id
        await self._launches.roll(tx, service_id, deployment_id)
        await self._replicas.drain(tx, [each for each in facts.others if each.id in step.drain], at=facts.now)
        await self._tell(tx, facts, phases.HEALTHCHECK, f"{len(facts.replicas)} of {facts.count} replicas passed")
        await self._place(tx, step, facts)

    async def take_back(self, tx: Transaction, facts: Facts, *, at: dt.datetime) -> None:
        """Remove what was started; upkeep brings the old replicas back to their number.

        Those that take requests finish what they have.
        """
        placed = await self._replicas.list_of_deployment(tx, facts.deployment.id)
        if facts.launch.rolling_deployment_id == facts.deployment.id:
            await self._launches.roll(tx, facts.launch.service_id, None)
            await self._replicas.drain(tx, placed, at=at)
        else:
            await self._replicas.delete(tx, placed, at=at)

    async def _place(self, tx: Transaction, step: Start | Roll, facts: Facts) -> None:
        assert facts.artifact is not None
        await self._placing.add(
            tx,
            facts.launch,
            artifact=facts.artifact,
            deployment_id=facts.deployment.id,
            node_ids=step.node_ids,
            known=facts.replicas,
        )
        launch, count = facts.launch, len(step.node_ids)
        names = ", ".join(name_node(facts.nodes, node_id) for node_id in step.node_ids)
        await self._tell(tx, facts, phases.STARTING, f"{count} replica(s) of {facts.artifact.digest} on {names}")
        seconds = (step.deadline_at - facts.now).total_seconds()
        text = f"starting: GET {launch.health.path} on port {launch.port}, within {seconds:.0f} s"
        await self._tell(tx, facts, phases.HEALTHCHECK, text)

    async def _tell(self, tx: Transaction, facts: Facts, phase: str, text: str) -> None:
        at, texts = self._clock.now(), [phases.clean_text(text)]
        await self._logs.append(tx, facts.deployment.id, at=at, phase=phase, texts=texts)


def name_node(nodes: tuple[NodeFacts, ...], node_id: str | None) -> str:
    """The node's name, or that it is gone."""
    return next((node.name for node in nodes if node.id == node_id), "that was removed")
