"""Turns what the plans find into the reports that controld gets, and remembers since when each state holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from agent.core.tails import Tails
from agent.model.plan import Memory, Plan
from agent.model.standing import Standing
from agent.rules.containers import locate_image
from agent.rules.reports import describe_replica
from kit.clock import Clock
from wire.link import ReplicaReport, ReplicaState
from wire.spec import NodeSpec, Wanted


class Reports:
    """The last word on every replica."""

    def __init__(self, clock: Clock, tails: Tails, *, registry_port: int) -> None:
        self._clock = clock
        self._tails = tails
        self._registry_port = registry_port
        self._last: dict[str, ReplicaReport] = {}
        self._gone: set[str] = set()
        self._excuse = "the node has not looked at its containers yet"

    def current(self, spec: NodeSpec | None) -> tuple[ReplicaReport, ...]:
        """The reports in the order of the spec; a replica that was never looked at is told as pending, or draining."""
        if spec is None:
            return ()
        found: list[ReplicaReport] = []
        for replica in spec.replicas:
            report = self._last.get(replica.id)
            if report is not None:
                found.append(report)
            elif replica.id not in self._gone:
                state = ReplicaState.DRAINING if replica.wanted is Wanted.DRAINING else ReplicaState.PENDING
                found.append(ReplicaReport(id=replica.id, state=state, since_at=self._clock.now(), reason=self._excuse))
        return tuple(found)

    def excuse(self, reason: str) -> None:
        """Say this of replicas that were never looked at."""
        self._excuse = reason

    def take(
        self,
        plan: Plan,
        memory: Memory,
        *,
        busy: Collection[str],
        serving: Collection[str],
        image_bytes: Mapping[str, int],
        outage: str | None,
    ) -> None:
        """Word every replica of the plan; `outage` says why the engine does not answer, so that the news may be old."""
        self._excuse = "the node has yet to look for it"
        reports: dict[str, ReplicaReport] = {}
        gone: set[str] = set()
        wrong: dict[str, tuple[str, str]] = {}
        for name, standing in plan.standings.items():
            known = memory.of(name)
            reference = locate_image(standing.replica, registry_port=self._registry_port)
            word = describe_replica(standing, known, plan, pulling=f"image:{reference}" in busy)
            if word is None:
                gone.add(name)
                continue
            state, reason = word
            if reason is not None and standing.container is not None:
                wrong[name] = (standing.container.id, f"{state.value} {known.exits} {reason}")
            if outage is not None:
                reason = f"{reason}; last seen before this: {outage}" if reason else f"last seen before this: {outage}"
            ended = state is not ReplicaState.HEALTHY and known.last_exit_at is not None
            run = standing.run
            reports[name] = ReplicaReport(
                id=name,
                state=state,
                since_at=self._since(name, state, standing),
                container_id=standing.container.id if standing.container else None,
                address=run.address if run else None,
                restarts=known.restarts,
                exit_code=known.exit_code if ended else None,
                oom_killed=known.oom_killed if ended else False,
                reason=reason,
                last_lines=self._tails.get(name) if name in wrong else (),
                image_bytes=image_bytes.get(reference),
                serving=name in serving,
            )
        self._last, self._gone = reports, gone
        self._tails.want(wrong)

    def _since(self, name: str, state: ReplicaState, standing: Standing) -> dt.datetime:
        before = self._last.get(name)
        if before is not None and before.state is state:
            return before.since_at
        adopted = before is None and state is ReplicaState.HEALTHY
        if adopted and standing.container is not None and standing.container.started_at is not None:
            return standing.container.started_at
        return self._clock.now()
