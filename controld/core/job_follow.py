"""Stays with an attempt of a job's run while its node carries it out: keeps its output, and sees when it changes."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import Final

from controld.core.job_facts import JobFactsReader
from controld.core.job_output import OutputTaken, RunOutput
from controld.core.ports import Agents, Database, Feed, NodeStore, Watch
from controld.core.ports_deployments import FleetFacts
from controld.core.ports_jobs import JobRunLogStore, JobRunStore
from controld.model.change import EVERYTHING
from controld.model.job import JobRun
from controld.model.node import Node
from controld.rules.job_run import Facts, Follow, Timing, decide_run
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_KINDS: Final = ("report", "node", "job_run")
_LOOK_SECONDS: Final = 5.0
"""So often it is looked at without news: deadlines and lost nodes are found then."""
_FINISH_SECONDS: Final = 30.0


class Follower:
    """Follows runs under their leases, which it renews."""

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        runs: JobRunStore,
        logs: JobRunLogStore,
        nodes: NodeStore,
        agents: Agents,
        facts: JobFactsReader,
        fleet: FleetFacts,
        clock: Clock,
        lease_seconds: float,
        most_log_bytes: int,
    ) -> None:
        self._database = database
        self._feed = feed
        self._runs = runs
        self._logs = logs
        self._nodes = nodes
        self._agents = agents
        self._facts = facts
        self._fleet = fleet
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._most_log_bytes = most_log_bytes
        self._writes = Tasks("job follower")

    async def follow(self, facts: Facts, *, owner: str, timing: Timing) -> None:
        """Keep the output until a step other than following is to be taken; raises OutputTaken."""
        node = await self._find_node(facts.run)
        tasks = Tasks("job follower")
        try:
            parts = [
                tasks.start("watch", self._watch(facts.run, timing)),
                tasks.start("lease", self._hold(facts, owner)),
            ]
            if node is not None:
                parts.append(tasks.start("output", self._make_output(facts.run, node, owner).follow()))
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            await tasks.close()

    async def finish(self, facts: Facts, *, owner: str) -> None:
        """Keep the rest of the output, within 30 s; what a node cannot give any more is left. Raises OutputTaken."""
        node = await self._find_node(facts.run)
        if node is None or facts.report is None:
            return
        until = self._clock.now() + dt.timedelta(seconds=self._lease_seconds + _FINISH_SECONDS)
        async with self._database.write() as tx:
            run = await self._runs.renew(tx, facts.run.id, owner=owner, until=until)
        if run is None:
            raise OutputTaken
        output = self._make_output(run, node, owner)
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                await output.finish()
        except (Fault, TimeoutError) as error:
            _log.warning("the end of a run's output is not kept", extra={"run": run.id, "reason": str(error)})

    def _make_output(self, run: JobRun, node: Node, owner: str) -> RunOutput:
        return RunOutput(
            run,
            node,
            owner=owner,
            database=self._database,
            runs=self._runs,
            logs=self._logs,
            agents=self._agents,
            clock=self._clock,
            most_bytes=self._most_log_bytes,
        )

    async def _find_node(self, run: JobRun) -> Node | None:
        if run.node_id is None:
            return None
        async with self._database.read() as tx:
            return await self._nodes.get(tx, run.node_id)

    async def _watch(self, run: JobRun, timing: Timing) -> None:
        watch = self._feed.watch(*_KINDS)
        try:
            while await self._is_to_follow(run, timing):
                await self._await_news(watch, {run.id, run.node_id})
        finally:
            watch.close()

    async def _await_news(self, watch: Watch, ids: set[str | None]) -> None:
        tasks = Tasks("job follower")
        try:
            late = tasks.start("look", self._clock.sleep(_LOOK_SECONDS))
            while True:
                news = tasks.start("news", watch.next())
                await asyncio.wait([late, news], return_when=asyncio.FIRST_COMPLETED)
                if late.done():
                    return
                if EVERYTHING in news.result() or ids & {each.id for each in news.result()}:
                    return
        finally:
            await tasks.close()

    async def _is_to_follow(self, run: JobRun, timing: Timing) -> bool:
        nodes = await self._fleet.list_nodes()
        async with self._database.read() as tx:
            found = await self._runs.find(tx, run.id)
            facts = None if found is None else await self._facts.read(tx, found, nodes)
        if facts is None or facts.run.status.is_finished:
            return False
        return isinstance(decide_run(facts, timing), Follow)

    async def _hold(self, facts: Facts, owner: str) -> None:
        while True:
            await self._clock.sleep(self._lease_seconds / 3)
            await self._writes.finish("renew", self._renew(facts.run.id, owner))

    async def _renew(self, run_id: str, owner: str) -> None:
        try:
            until = self._clock.now() + dt.timedelta(seconds=self._lease_seconds)
            async with self._database.write() as tx:
                kept = await self._runs.renew(tx, run_id, owner=owner, until=until)
        except Fault as fault:
            _log.warning("lease of a run was not renewed", extra={"run": run_id, "reason": fault.message})
            return
        if kept is None:
            raise OutputTaken
