"""What is known of a job's run when its next step is decided, read in one transaction."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Mapping

from controld.core.ports import Transaction
from controld.core.ports_deployments import ReplicaStore
from controld.core.ports_jobs import JobRunStore, JobStore
from controld.model.fleet import NodeFacts
from controld.model.job import JobRun
from controld.rules.job_run import Facts
from controld.rules.placement import Load, compute_loads
from kit.clock import Clock
from wire.spec import Wanted


class JobFactsReader:
    """Reads the facts of one run."""

    def __init__(self, *, jobs: JobStore, runs: JobRunStore, replicas: ReplicaStore, clock: Clock) -> None:
        self._jobs = jobs
        self._runs = runs
        self._replicas = replicas
        self._clock = clock

    async def read(self, tx: Transaction, run: JobRun, nodes: tuple[NodeFacts, ...]) -> Facts | None:
        """The facts, or None when the job is gone; who else runs where is read for a run without a node only."""
        launch = await self._jobs.find_launch(tx, run.job_id)
        if launch is None:
            return None
        now, is_next = self._clock.now(), True
        taken: Mapping[str, int] = {}
        loads: Mapping[str, Load] = {}
        if run.node_id is None:
            others = await self._runs.list_active(tx)
            taken = Counter(each.node_id for each in others if each.node_id is not None and each.id != run.id)
            is_next = not any(
                _waits(each, now) for each in itertools.takewhile(lambda other: other.id != run.id, others)
            )
            loads = compute_loads(await self._replicas.list_wanted(tx, Wanted.RUNNING))
        return Facts(now=now, run=run, launch=launch, nodes=nodes, taken=taken, loads=loads, is_next=is_next)


def _waits(run: JobRun, now: dt.datetime) -> bool:
    is_ready = run.retry_at is None or run.retry_at <= now
    return run.node_id is None and run.cancel_requested_at is None and is_ready
