"""What is written down when the platform itself changes how many replicas a service has."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.audit import Audit
from controld.core.ports import Transaction
from controld.core.ports_deployments import DeploymentLogStore
from controld.model.launch import Launch
from controld.rules import deployment_log as phases
from kit.clock import Clock

_log = logging.getLogger(__name__)

_TOLD_LINES: Final = 1000
"""So many decisions stand in the log of one deployment; the audit has all."""


class ScaleNotes:
    """Writes to the audit and to the log of the promoted deployment, in the transaction of the change itself."""

    def __init__(self, *, logs: DeploymentLogStore, audit: Audit, clock: Clock) -> None:
        self._logs = logs
        self._audit = audit
        self._clock = clock

    async def note(self, tx: Transaction, launch: Launch, *, count: int, why: str) -> None:
        """Note that so many run from now on instead of `launch.replicas`."""
        text = f"from {launch.replicas} to {count}: {why}"
        await self.tell(tx, launch, text)
        await self._audit.record_own(
            tx,
            action="service.scale",
            object_kind="service",
            object_id=launch.service_id,
            project_id=launch.project_id,
            details={"name": launch.service, "from": launch.replicas, "to": count, "why": why},
        )
        _log.info("service scaled", extra={"service": launch.service_id, "change": text})

    async def tell(self, tx: Transaction, launch: Launch, text: str) -> None:
        """Add a line to the log."""
        deployment_id, phase = launch.promoted_deployment_id or "", phases.AUTOSCALE
        _, told, _ = await self._logs.count_output(tx, deployment_id, phase=phase, after_phase=phase)
        if told < _TOLD_LINES:
            texts = [phases.clean_text(text)]
            await self._logs.append(tx, deployment_id, at=self._clock.now(), phase=phase, texts=texts)
