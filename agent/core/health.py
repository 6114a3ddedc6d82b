"""Watches the health of every run that should serve, each in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.core.ports import HealthProbe
from agent.model.replica import HealthFacts, Run, Verdict
from agent.rules.health import begin_facts, pace_check, weigh_check
from kit.clock import Clock
from kit.tasks import Tasks
from wire.spec import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A run to watch and how; `adopted` when ingress already trusted it before the agent first saw it."""

    run: Run
    health: Health
    adopted: bool = False


class HealthChecks:
    """The facts of every watched run; `on_change` is called when a verdict or what stands in its way has changed."""

    def __init__(self, probe: HealthProbe, clock: Clock, *, on_change: Callable[[], None]) -> None:
        self._probe = probe
        self._clock = clock
        self._on_change = on_change
        self._tasks = Tasks("health")
        self._watches: dict[str, tuple[Target, asyncio.Task[None]]] = {}
        self._facts: dict[str, HealthFacts] = {}
        self.hurried = False
        """Check often, also what is healthy: the engine cannot say what still runs."""

    @property
    def facts(self) -> Mapping[str, HealthFacts]:
        """What is known of each watched run, by replica id."""
        return dict(self._facts)

    def watch(self, targets: Mapping[str, Target]) -> None:
        """Watch exactly these, by replica id; a run that is watched already keeps its facts, a new one starts anew."""
        for name in [name for name in self._watches if name not in targets]:
            self._drop(name)
        for name, target in targets.items():
            before = self._watches.get(name)
            if target.adopted and name in self._facts and self._facts[name].verdict is Verdict.STARTING:
                self._drop(name)
                before = None
            if before and before[0].run == target.run and before[0].health == target.health and not before[1].done():
                continue
            known = self._facts.get(name)
            self._drop(name)
            if known is None or known.run != target.run:
                known = begin_facts(target.run, now=self._clock.monotonic(), adopted=target.adopted)
            self._facts[name] = known
            self._watches[name] = (target, self._tasks.start(name, self._check(name, target)))

    async def close(self) -> None:
        """Stop watching."""
        await self._tasks.close()

    def _drop(self, name: str) -> None:
        if name in self._watches:
            self._watches.pop(name)[1].cancel()
        self._facts.pop(name, None)

    async def _check(self, name: str, target: Target) -> None:
        while True:
            probed = await self._probe.check(
                target.run.ip, target.run.port, target.health.path, timeout_seconds=target.health.timeout_seconds
            )
            before, now = self._facts[name], self._clock.monotonic()
            after = weigh_check(before, probed, target.health, now=now)
            self._facts[name] = after
            if _says(before) != _says(after):
                self._on_change()
            await self._clock.sleep(pace_check(after, target.health, now=now, hurried=self.hurried))


def _says(facts: HealthFacts) -> tuple[object, ...]:
    return facts.verdict, facts.last and (facts.last.obstacle, facts.last.detail)
