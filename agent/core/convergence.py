"""Makes the desired state true: looks, plans, acts side by side, and tells how it stands."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from agent.core.health import HealthChecks, Target
from agent.core.lookout import Lookout
from agent.core.performer import Performer
from agent.core.ports import Engine, HealthProbe, Ingress
from agent.core.recollection import Recollection
from agent.core.reports import Reports
from agent.core.rotation import Rotation
from agent.core.specs import Specs
from agent.core.tails import Tails
from agent.model.engine import EngineEvent
from agent.model.plan import Action, Plan, PullImage, Snapshot
from agent.model.standing import Standing
from agent.rules.containers import locate_image
from agent.rules.plan import plan_node
from agent.rules.rotation import find_adopted
from agent.rules.standing import find_leaving, find_standings
from kit.clock import Clock
from kit.faults import Fault, Internal
from kit.tasks import Tasks
from wire.link import Happening, Part, ReplicaReport
from wire.spec import NodeSpec, Wanted

_log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 30.0
"""Engine and ingress are looked at so often though nothing is heard of them: what events missed is found then."""
POLL_SECONDS: Final = 2.0
"""The ingress is looked at so often while something is under way, and the engine too while it does not answer.

Where all is as wanted the proxy is only asked whether it is still the same process.
"""
SHORTEST_SECONDS: Final = 0.05
UNSURE_SECONDS: Final = 5.0
"""So long an agent that starts waits for a silent proxy before it tells it what it has not seen for itself."""


class Convergence:
    """The loop between the spec and the node.

    `run` turns until it is cancelled; whatever may have changed something wakes it. Actions run side by side, one for
    each replica; one that fails is recorded on its replica and tried again with back-off. `reports`, `converged` and
    the parts are read from memory and never wait.
    """

    def __init__(
        self,
        engine: Engine,
        ingress: Ingress,
        *,
        specs: Specs,
        probe: HealthProbe,
        clock: Clock,
        node_id: str,
        network: str,
        registry_port: int,
        registry_login: tuple[str, str],
        keep_log: Callable[[str], Awaitable[None]],
        pull_timeout_seconds: float = 900.0,
        waker_port: int | None = None,
    ) -> None:
        self._specs = specs
        self._clock = clock
        self._registry_port = registry_port
        self._lookout = Lookout(engine, ingress, clock=clock, on_answer=self.wake)
        self._waker_port = waker_port
        self._rotation = Rotation(ingress, clock)
        self._performer = Performer(
            engine,
            node_id=node_id,
            network=network,
            registry_login=registry_login,
            pull_timeout_seconds=pull_timeout_seconds,
            keep_log=keep_log,
        )
        self._health = HealthChecks(probe, clock, on_change=self.wake)
        self._tails = Tails(engine, clock, on_change=self.wake)
        self._reports = Reports(clock, self._tails, registry_port=registry_port)
        self._recollection = Recollection(clock)
        self._tasks = Tasks("convergence")
        self._busy: set[str] = set()
        self._adopted = False
        self._dirty = True
        self._started_at = clock.monotonic()
        self._looked_at = 0.0
        self._woken = asyncio.Event()
        self._notice: Callable[[], None] | None = None
        self._refused: str | None = None
        self._told: object = None
        self._converged = False

    @property
    def applied_digest(self) -> str | None:
        """Digest of the spec that is written down and followed; None before the first."""
        return self._specs.digest

    @property
    def spec(self) -> NodeSpec | None:
        """The spec that is followed."""
        return self._specs.current

    @property
    def converged(self) -> bool:
        """Whether the node was last seen to be what the spec wants."""
        return self._converged

    @property
    def busy(self) -> int:
        """Replicas, jobs and images on which something is being done."""
        return len(self._busy)

    @property
    def engine_part(self) -> Part | None:
        """Whether the container engine answers; None until it was asked."""
        return self._lookout.engine_part

    @property
    def ingress_part(self) -> Part | None:
        """Whether the proxy answers and takes the routes; None until it was asked."""
        seen = self._lookout.ingress_part
        return seen if seen is None or not seen.ok or self._rotation.part is None else self._rotation.part

    def leads_to(self, server: str) -> bool | None:
        """Whether the ingress gives new requests to this server; None while it was not seen to do as it is told."""
        return server in self._rotation.serving if self._rotation.settled else None

    def reports(self) -> tuple[ReplicaReport, ...]:
        """What is observed of each replica of the spec, in its order; what has drained and gone is absent."""
        return self._reports.current(self._specs.current)

    def attach(self, *, notice: Callable[[], None], tell: Callable[[Happening], None]) -> None:
        """Call `notice` when a report, a part, the digest or `converged` has changed, and `tell` on what happens."""
        self._notice = notice
        self._recollection.attach(tell)

    async def accept(self, spec: NodeSpec, digest: str) -> None:
        """Write the spec down and follow it from now on; when that fails, the earlier one stays in force."""
        try:
            if not await self._specs.accept(spec, digest):
                return
        except Fault as fault:
            if fault.message != self._refused:
                self._refused = fault.message
                _log.error("spec not accepted", extra={"fault": fault.message})
                self._recollection.tell("spec", fault.message)
            return
        self._refused = None
        self._converged = False
        self.wake()

    def wake(self) -> None:
        """Plan again soon."""
        self._woken.set()

    def note_event(self, event: EngineEvent) -> None:
        """Take an engine event: look at the engine again, and remember what only events tell."""
        self._recollection.take_event(event)
        self._dirty = True
        self.wake()

    async def run(self) -> None:
        """Turn for ever: load the spec on disk, then step whenever something wakes; cleans up when cancelled."""
        try:
            await self._specs.load()
            while True:
                self._woken.clear()
                try:
                    delay = await self._step()
                except Exception:  # noqa: BLE001 - one bad step must not end the loop; the log has it
                    _log.exception("convergence step failed")
                    self._dirty = True
                    delay = POLL_SECONDS
                await self._rest(delay)
        finally:
            await self.close()

    async def close(self) -> None:
        """End every task; containers and ingress stay as they are."""
        await self._tasks.close()
        await self._lookout.close()
        await self._health.close()
        await self._tails.close()

    async def _rest(self, seconds: float) -> None:
        """Return when something wakes, when the time has passed, or when another proxy serves than was looked at."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0 and not await self._is_woken_within(
            min(left, POLL_SECONDS)
        ):
            if left > POLL_SECONDS and not await self._lookout.is_same_proxy():
                return

    async def _is_woken_within(self, seconds: float) -> bool:
        timer = self._tasks.start("timer", self._clock.sleep(seconds))
        woken = self._tasks.start("woken", self._woken.wait())
        try:
            await asyncio.wait([timer, woken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            woken.cancel()
        return self._woken.is_set()

    async def _step(self) -> float:
        """Look, plan, act; returns the seconds until the next step if nothing wakes it."""
        now = self._clock.monotonic()
        # Taken ahead of the look: what ends from here on is not in what is seen, and counts as under way.
        busy = frozenset(self._busy)
        due = self._dirty or not self._lookout.engine_ok or now - self._looked_at >= SWEEP_SECONDS
        if due and not self._lookout.is_looking:
            self._dirty, self._looked_at = False, now
            await self._lookout.look_at_engine()
        await self._lookout.look_at_ingress()
        self._health.hurried = not self._lookout.engine_ok
        spec = self._specs.current
        delay = POLL_SECONDS
        if self._lookout.containers is None:
            self._reports.excuse(self._lookout.outage or "")
        elif spec is not None:
            delay = await self._turn(spec, busy)
        self._tell()
        return delay

    async def _turn(self, spec: NodeSpec, busy: frozenset[str]) -> float:
        observed, standings = await self._observe(spec, busy)
        self._recollection.take_look(standings)
        plan = plan_node(
            spec,
            observed,
            self._recollection.memory,
            now=self._clock.monotonic(),
            registry_port=self._registry_port,
            waker_port=self._waker_port,
            standings=standings,
        )
        self._recollection.memory = plan.memory
        turned = False
        if not self._is_unsure(plan):
            turned = await self._rotation.turn(plan.ingress, self._lookout.ingress)
        if self._lookout.engine_ok:
            self._act(plan)
        self._reports.take(
            plan,
            self._recollection.memory,
            busy=self._busy,
            serving=self._rotation.serving,
            image_bytes=self._lookout.image_bytes,
            outage=self._lookout.outage,
        )
        self._converged = self._is_converged(spec, plan)
        if turned and plan.leaving:
            return SHORTEST_SECONDS
        quiet = self._converged and not turned and not self._rotation.drifted
        delay = self._looked_at + SWEEP_SECONDS - self._clock.monotonic() if quiet else POLL_SECONDS
        return max(SHORTEST_SECONDS, delay if plan.next_wake_seconds is None else min(delay, plan.next_wake_seconds))

    async def _observe(self, spec: NodeSpec, busy: frozenset[str]) -> tuple[Snapshot, Mapping[str, Standing]]:
        """What the node looks like, and where its replicas stand by that."""
        seen = Snapshot(containers=self._lookout.containers or (), health=self._health.facts)
        standings = find_standings(spec, seen)
        adopted = frozenset[str]() if self._adopted else find_adopted(standings, self._lookout.ingress)
        self._adopted = self._adopted or self._lookout.ingress is not None or not self._is_young()
        self._health.watch(
            {
                name: Target(run=run, health=standing.replica.health, adopted=name in adopted)
                for name, standing in standings.items()
                if (run := standing.run) is not None
            }
        )
        if (facts := self._health.facts) != seen.health:
            seen = dataclasses.replace(seen, health=facts)
            standings = find_standings(spec, seen)
        leaving = find_leaving(spec, seen, standings, drains=self._recollection.memory.drains)
        sessions = await self._lookout.count_sessions({item.replica_id for item in leaving})
        images = await self._lookout.find_images(self._list_wanted_images(standings, busy))
        observed = dataclasses.replace(
            seen,
            ingress=self._lookout.ingress,
            sessions=sessions,
            images=images,
            busy=busy,
            engine_ok=self._lookout.engine_ok,
        )
        return observed, standings

    def _list_wanted_images(self, standings: Mapping[str, Standing], busy: frozenset[str]) -> set[str]:
        references = {
            locate_image(standing.replica, registry_port=self._registry_port)
            for name, standing in standings.items()
            if standing.container is None and standing.replica.wanted is Wanted.RUNNING and name not in busy
        }
        return {reference for reference in references if f"image:{reference}" not in busy}

    def _act(self, plan: Plan) -> None:
        for action in plan.actions:
            self._recollection.begin(action)
            self._busy.add(action.key)
            self._tasks.start(action.key, self._perform(action, self._list_concerned(action, plan)))

    def _list_concerned(self, action: Action, plan: Plan) -> tuple[str, ...]:
        if not isinstance(action, PullImage):
            return (action.replica_id,)
        return tuple(
            name
            for name, standing in plan.standings.items()
            if standing.container is None
            and locate_image(standing.replica, registry_port=self._registry_port) == action.reference
        )

    async def _perform(self, action: Action, concerned: tuple[str, ...]) -> None:
        fault: Fault | None = None
        try:
            image = await self._performer.perform(action)
            if isinstance(action, PullImage) and image is not None:
                self._lookout.image_bytes[action.reference] = image.size_bytes
        except Fault as found:
            fault = found
        except Exception:  # noqa: BLE001 - a bug in one action is told on its replica and stops no other
            _log.exception("action failed", extra={"action": type(action).__name__})
            fault = Internal("cannot go on with the replica: the agent met an error of its own, which is in its log")
        self._recollection.end(action, fault, replica_ids=concerned)
        self._busy.discard(action.key)
        self._dirty = True
        self.wake()

    def _is_young(self) -> bool:
        return self._clock.monotonic() - self._started_at < UNSURE_SECONDS

    def _is_unsure(self, plan: Plan) -> bool:
        """Whether the proxy, silent since the start, may serve replicas that no check has reached yet."""
        if self._lookout.ingress is not None or self._rotation.part is not None:
            return False
        if not self._is_young():
            return False
        return any(standing.facts is not None and standing.facts.last is None for standing in plan.standings.values())

    def _is_converged(self, spec: NodeSpec, plan: Plan) -> bool:
        well = all(
            standing.healthy if standing.replica.wanted is Wanted.RUNNING else standing.container is None
            for standing in plan.standings.values()
        )
        idle = not (plan.actions or plan.leaving or self._busy)
        parts = self._lookout.engine_ok and self._rotation.settled
        return well and idle and parts and spec is self._specs.current

    def _tell(self) -> None:
        said = (
            self.reports(),
            self.engine_part,
            self.ingress_part,
            self.applied_digest,
            self._converged,
        )
        if said != self._told:
            self._told = said
            if self._notice is not None:
                self._notice()
