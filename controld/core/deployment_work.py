"""A build or pull on a node, carried out for a deployment under its lease."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import logging
from collections.abc import AsyncIterator
from typing import Final

from controld.core.deployment_output import Output
from controld.core.faults import NodeFault, NodeOffline
from controld.core.ports import Agents, Database, Feed, NodeStore
from controld.core.ports_deployments import DeploymentLogStore, DeploymentStore, UploadFiles
from controld.model.change import EVERYTHING
from controld.model.deployment import Deployment, ImageRequest, UploadRequest
from controld.model.launch import Launch
from controld.model.node import Node
from controld.rules.deployment import Timing
from controld.rules.deployment_log import BUILDING, PULL, START
from kit.clock import Clock
from kit.faults import Fault, Kind
from kit.tasks import Tasks
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed, WorkLine
from wire.spec import Limits

_log = logging.getLogger(__name__)

_CANCEL_SECONDS: Final = 10.0
_PASSING_KINDS: Final = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.LIMITED, Kind.CONFLICT, Kind.INTERNAL})


class Interrupted(enum.Enum):
    """Why work was left before its end."""

    CANCELLED = "cancelled"
    """Someone asked for the deployment's end, or its row is gone."""
    LATE = "late"
    """The phase's deadline has passed."""
    TAKEN = "taken"
    """The lease is another's: whoever has it goes on with the work."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unreached:
    """The node could not be asked, or could not do it now; the same may succeed later."""

    reason: str


Outcome = WorkDone | WorkFailed | Unreached | Interrupted


class Works:
    """Runs builds and pulls on nodes."""

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        deployments: DeploymentStore,
        logs: DeploymentLogStore,
        nodes: NodeStore,
        agents: Agents,
        files: UploadFiles,
        clock: Clock,
        timing: Timing,
        build_limits: Limits,
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._feed = feed
        self._deployments = deployments
        self._logs = logs
        self._nodes = nodes
        self._agents = agents
        self._files = files
        self._clock = clock
        self._timing = timing
        self._build_limits = build_limits
        self._lease_seconds = lease_seconds
        self._writes = Tasks("deployment work writes")

    async def run(self, deployment: Deployment, launch: Launch, *, owner: str) -> Outcome:
        """Carry the work out, or join it, holding the lease; an interruption ends it on the node too, unless another
        has taken it over.
        """
        node = await self._find_node(deployment.node_id)
        if node is None:
            return Unreached("its node is gone")
        tasks = Tasks("deployment work")
        stop: asyncio.Future[Interrupted] = asyncio.get_running_loop().create_future()
        try:
            working = tasks.start("work", self._work(deployment, launch, node))
            tasks.start("lease", self._hold_lease(deployment, owner, stop))
            tasks.start("cancel", self._hear_cancel(deployment, owner, stop))
            tasks.start("deadline", self._watch_deadline(deployment, stop))
            await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                outcome: Outcome = working.result()
                return outcome
        finally:
            await tasks.close()
        if stop.result() is not Interrupted.TAKEN:
            await self.cancel(deployment)
        return stop.result()

    async def cancel(self, deployment: Deployment) -> None:
        """End the work on the node as far as the node can be reached; its own time limit ends it otherwise."""
        node = await self._find_node(deployment.node_id)
        if node is None:
            return
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._agents.cancel_work(node, deployment.id)
        except (Fault, TimeoutError) as error:
            _log.warning("work was not cancelled", extra={"deployment": deployment.id, "reason": str(error)})

    async def _find_node(self, node_id: str | None) -> Node | None:
        if node_id is None:
            return None
        async with self._database.read() as tx:
            return await self._nodes.get(tx, node_id)

    async def _work(self, deployment: Deployment, launch: Launch, node: Node) -> Outcome:
        phase = PULL if isinstance(deployment.request, ImageRequest) else BUILDING
        output = Output(deployment.id, phase=phase, database=self._database, logs=self._logs, clock=self._clock)
        try:
            async with output:
                return await self._follow(deployment, launch, node, output)
        except NodeOffline as fault:
            return Unreached(fault.message)
        except NodeFault as fault:
            if fault.kind is Kind.CONFLICT:
                await self.cancel(deployment)
            if fault.kind in _PASSING_KINDS:
                return Unreached(fault.message)
            return WorkFailed(code=fault.code, message=fault.message)
        except FileNotFoundError:
            return WorkFailed(code="upload_missing", message="the uploaded context is not there any more")

    async def _follow(self, deployment: Deployment, launch: Launch, node: Node, output: Output) -> Outcome:
        try:
            end = await self._read(self._open(deployment, launch, node), output)
        except NodeFault as fault:
            if fault.remote_code != "context_missing" or not isinstance(deployment.request, UploadRequest):
                raise
            await self._note(deployment, f"sending the context to node {node.name}")
            output.begin_anew()
            await self._agents.send_context(node, deployment.id, self._files.path(deployment.request.upload_id))
            end = await self._read(self._open(deployment, launch, node), output)
        if isinstance(end, WorkFailed) and end.code == "cancelled":
            await self._agents.cancel_work(node, deployment.id)
            return Unreached("the node stopped the work before its end")
        return end

    def _open(self, deployment: Deployment, launch: Launch, node: Node) -> AsyncIterator[WorkEvent]:
        request = deployment.request
        if isinstance(request, UploadRequest):
            asked = BuildAsked(
                repository=f"{launch.project}/{launch.service}",
                dockerfile_path=request.dockerfile_path,
                context_path=request.context_path,
                limits=self._build_limits,
                timeout_seconds=self._timing.build.total_seconds(),
                tag=f"deployment-{deployment.number}",
            )
            return self._agents.run_build(node, deployment.id, asked)
        image = PullAsked(image=launch.image or "", timeout_seconds=self._timing.pull.total_seconds())
        return self._agents.run_pull(node, deployment.id, image)

    async def _read(self, events: AsyncIterator[WorkEvent], output: Output) -> WorkDone | WorkFailed | Unreached:
        end: WorkDone | WorkFailed | None = None
        async for event in events:
            if isinstance(event, WorkLine):
                await output.add(event.text)
            else:
                end = event
        return end or Unreached("the node ended the stream before the work")

    async def _note(self, deployment: Deployment, text: str) -> None:
        await self._writes.finish("note", self._write_note(deployment, text))

    async def _write_note(self, deployment: Deployment, text: str) -> None:
        async with self._database.write() as tx:
            await self._logs.append(tx, deployment.id, at=self._clock.now(), phase=START, texts=[text])

    async def _hold_lease(self, deployment: Deployment, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        while not stop.done():
            await self._clock.sleep(self._lease_seconds / 3)
            await self._check(deployment, owner, stop)

    async def _hear_cancel(self, deployment: Deployment, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        watch = self._feed.watch("deployment", "service")
        try:
            await self._check(deployment, owner, stop)
            while not stop.done():
                changes = await watch.next()
                if EVERYTHING in changes or {deployment.id, deployment.service_id} & {each.id for each in changes}:
                    await self._check(deployment, owner, stop)
        finally:
            watch.close()

    async def _check(self, deployment: Deployment, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        """Renew the lease and see whether the work is still wanted; a transaction is never broken off."""
        await self._writes.finish("check", self._renew(deployment, owner, stop))

    async def _renew(self, deployment: Deployment, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        try:
            until = self._clock.now() + dt.timedelta(seconds=self._lease_seconds)
            async with self._database.write() as tx:
                now = await self._deployments.renew(tx, deployment.id, owner=owner, until=until)
                exists = now is not None or await self._deployments.find(tx, deployment.id) is not None
        except Fault as fault:
            _log.warning("lease was not renewed", extra={"deployment": deployment.id, "reason": fault.message})
            return
        if stop.done():
            return
        if now is None:
            stop.set_result(Interrupted.TAKEN if exists else Interrupted.CANCELLED)
        elif now.cancel_requested_at is not None:
            stop.set_result(Interrupted.CANCELLED)

    async def _watch_deadline(self, deployment: Deployment, stop: asyncio.Future[Interrupted]) -> None:
        if deployment.deadline_at is None:
            return
        while (left := (deployment.deadline_at - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(min(left, self._lease_seconds))
        if not stop.done():
            stop.set_result(Interrupted.LATE)
