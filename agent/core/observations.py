"""What the heartbeat says, gathered from the parts that know."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.convergence import Convergence
from agent.core.job_runs import JobRuns
from agent.model.observed import Observed
from wire.link import HostReport, Part

_UNASKED = Part(ok=False, detail="not asked yet since the agent started")


class NodeObservations:
    """Reads the convergence, the runs of jobs and the newest host reading from memory."""

    def __init__(self, convergence: Convergence, job_runs: JobRuns, *, host: Callable[[], HostReport | None]) -> None:
        self._convergence = convergence
        self._job_runs = job_runs
        self._host = host

    def observe(self) -> Observed:
        """The newest observations; never waits."""
        return Observed(
            applied_digest=self._convergence.applied_digest,
            converged=self._convergence.converged,
            replicas=self._convergence.reports(),
            job_runs=self._job_runs.reports(),
            host=self._host(),
            engine=self._convergence.engine_part or _UNASKED,
            ingress=self._convergence.ingress_part or _UNASKED,
        )
