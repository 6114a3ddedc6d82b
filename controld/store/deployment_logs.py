"""The lines of deployments' logs as rows."""

from __future__ import annotations

from controld.store.log_lines import LogLineStore
from controld.store.tables import deployment_logs


class DeploymentLogStore(LogLineStore):
    """Logs of deployments; each change announces ("deployment_log", the deployment's id)."""

    def __init__(self) -> None:
        super().__init__(deployment_logs, owner="deployment_id", kind="deployment_log")
