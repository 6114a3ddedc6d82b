"""A build or pull on a node, carried out for a deployment or a job's run under its lease."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import logging
from collections.abc import AsyncIterator, Collection
from typing import Final

from controld.core.deployment_output import Output
from controld.core.faults import NodeFault, NodeOffline, SecretShut, SourceChanged, StorageFailed
from controld.core.git_sources import GitSources
from controld.core.image_sources import ImageSources
from controld.core.ports import Agents, Database, Feed, NodeStore
from controld.core.ports_deployments import LeasedRows, UploadFiles, WorkLog, WorkRow
from controld.model.change import EVERYTHING
from controld.model.deployment import GitRequest, ImageRequest, UploadRequest
from controld.model.node import Node
from controld.model.work import WorkOrder
from controld.rules.deployment import Timing
from controld.rules.deployment_log import BUILDING, PULL, START
from kit.clock import Clock
from kit.faults import Fault, Invalid, Kind, NotFound
from kit.tasks import Tasks
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed, WorkLine
from wire.spec import Limits

_log = logging.getLogger(__name__)

_CANCEL_SECONDS: Final = 10.0
_PASSING_KINDS: Final = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.LIMITED, Kind.CONFLICT, Kind.INTERNAL})


class Interrupted(enum.Enum):
    """Why work was left before its end."""

    CANCELLED = "cancelled"
    """Someone asked for the end of what the work is for, or its row is gone."""
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
    """Runs builds and pulls on nodes, for the things whose rows and logs it is given.

    `kinds` are the changes that may end a work: ("kind", an order's `row_id` or `subject_id`).
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        rows: LeasedRows[WorkRow],
        logs: WorkLog,
        kinds: Collection[str],
        nodes: NodeStore,
        agents: Agents,
        files: UploadFiles,
        repositories: GitSources,
        images: ImageSources,
        clock: Clock,
        timing: Timing,
        build_limits: Limits,
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._feed = feed
        self._rows = rows
        self._logs = logs
        self._kinds = kinds
        self._nodes = nodes
        self._agents = agents
        self._files = files
        self._repositories = repositories
        self._images = images
        self._clock = clock
        self._timing = timing
        self._build_limits = build_limits
        self._lease_seconds = lease_seconds
        self._writes = Tasks("deployment work writes")

    async def run(self, order: WorkOrder, *, owner: str) -> Outcome:
        """Carry the work out, or join it, holding the lease; an interruption ends it on the node too, unless another
        has taken it over.
        """
        node = await self._find_node(order.node_id)
        if node is None:
            return Unreached("its node is gone")
        tasks = Tasks("deployment work")
        stop: asyncio.Future[Interrupted] = asyncio.get_running_loop().create_future()
        try:
            working = tasks.start("work", self._work(order, node))
            tasks.start("lease", self._hold_lease(order, owner, stop))
            tasks.start("cancel", self._hear_cancel(order, owner, stop))
            tasks.start("deadline", self._watch_deadline(order, stop))
            await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                outcome: Outcome = working.result()
                return outcome
        finally:
            await tasks.close()
        if stop.result() is not Interrupted.TAKEN:
            await self.cancel(order)
        return stop.result()

    async def cancel(self, order: WorkOrder) -> None:
        """End the work on the node as far as the node can be reached; its own time limit ends it otherwise."""
        node = await self._find_node(order.node_id)
        if node is None:
            return
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._agents.cancel_work(node, order.id)
        except (Fault, TimeoutError) as error:
            _log.warning("work was not cancelled", extra={"work": order.id, "reason": str(error)})

    async def _find_node(self, node_id: str | None) -> Node | None:
        if node_id is None:
            return None
        async with self._database.read() as tx:
            return await self._nodes.get(tx, node_id)

    async def _work(self, order: WorkOrder, node: Node) -> Outcome:
        phase = PULL if isinstance(order.request, ImageRequest) else BUILDING
        output = Output(order.row_id, phase=phase, database=self._database, logs=self._logs, clock=self._clock)
        try:
            async with output:
                return await self._follow(order, node, output)
        except NodeOffline as fault:
            return Unreached(fault.message)
        except NodeFault as fault:
            if fault.kind is Kind.CONFLICT:
                await self.cancel(order)
            if fault.kind in _PASSING_KINDS:
                return Unreached(fault.message)
            return WorkFailed(code=fault.code, message=fault.message)
        except (NotFound, SecretShut, SourceChanged, StorageFailed, Invalid) as fault:
            return WorkFailed(code=fault.code, message=fault.message)
        except FileNotFoundError:
            return WorkFailed(code="upload_missing", message="the uploaded context is not there any more")

    async def _follow(self, order: WorkOrder, node: Node, output: Output) -> Outcome:
        try:
            end = await self._read(await self._open(order, node), output)
        except NodeFault as fault:
            if fault.remote_code != "context_missing" or not isinstance(order.request, UploadRequest):
                raise
            await self._note(order, f"sending the context to node {node.name}")
            output.begin_anew()
            await self._agents.send_context(node, order.id, self._files.path(order.request.upload_id))
            end = await self._read(await self._open(order, node), output)
        if isinstance(end, WorkFailed) and end.code == "cancelled":
            await self._agents.cancel_work(node, order.id)
            return Unreached("the node stopped the work before its end")
        return end

    async def _open(self, order: WorkOrder, node: Node) -> AsyncIterator[WorkEvent]:
        request = order.request
        if isinstance(request, GitRequest):
            return self._agents.run_build(node, order.id, await self._ask_clone(order, request))
        if isinstance(request, UploadRequest):
            asked = BuildAsked(
                repository=order.repository,
                dockerfile_path=request.dockerfile_path,
                context_path=request.context_path,
                limits=self._build_limits,
                timeout_seconds=self._timing.build.total_seconds(),
                tag=order.tag,
            )
            return self._agents.run_build(node, order.id, asked)
        pull = await self._images.open(order)
        return self._agents.run_pull(
            node,
            order.id,
            PullAsked(
                image=pull.reference,
                timeout_seconds=self._timing.pull.total_seconds(),
                login=pull.login,
                keep_as=f"{order.repository}:{order.tag}" if order.keeps_image else None,
            ),
        )

    async def _ask_clone(self, order: WorkOrder, request: GitRequest) -> BuildAsked:
        source = order.git
        if source is None or source.repo_url != request.repo_url:
            raise SourceChanged("cannot build: the stored source is not the repository that was asked for any more")
        return BuildAsked(
            repository=order.repository,
            dockerfile_path=source.dockerfile_path,
            context_path=source.context_path,
            limits=self._build_limits,
            timeout_seconds=self._timing.build.total_seconds(),
            tag=order.tag,
            clone=await self._repositories.open(order.project_id, source, ref=request.git_ref),
            push=not order.stays_on_node,
        )

    async def _read(self, events: AsyncIterator[WorkEvent], output: Output) -> WorkDone | WorkFailed | Unreached:
        end: WorkDone | WorkFailed | None = None
        async for event in events:
            if isinstance(event, WorkLine):
                await output.add(event.text)
            else:
                end = event
        return end or Unreached("the node ended the stream before the work")

    async def _note(self, order: WorkOrder, text: str) -> None:
        await self._writes.finish("note", self._write_note(order, text))

    async def _write_note(self, order: WorkOrder, text: str) -> None:
        async with self._database.write() as tx:
            await self._logs.append(tx, order.row_id, at=self._clock.now(), phase=START, texts=[text])

    async def _hold_lease(self, order: WorkOrder, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        while not stop.done():
            await self._clock.sleep(self._lease_seconds / 3)
            await self._check(order, owner, stop)

    async def _hear_cancel(self, order: WorkOrder, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        watch = self._feed.watch(*self._kinds)
        try:
            await self._check(order, owner, stop)
            while not stop.done():
                changes = await watch.next()
                if EVERYTHING in changes or {order.row_id, order.subject_id} & {each.id for each in changes}:
                    await self._check(order, owner, stop)
        finally:
            watch.close()

    async def _check(self, order: WorkOrder, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        """Renew the lease and see whether the work is still wanted; a transaction is never broken off."""
        await self._writes.finish("check", self._renew(order, owner, stop))

    async def _renew(self, order: WorkOrder, owner: str, stop: asyncio.Future[Interrupted]) -> None:
        try:
            until = self._clock.now() + dt.timedelta(seconds=self._lease_seconds)
            async with self._database.write() as tx:
                now = await self._rows.renew(tx, order.row_id, owner=owner, until=until)
                exists = now is not None or await self._rows.find(tx, order.row_id) is not None
        except Fault as fault:
            _log.warning("lease was not renewed", extra={"work": order.id, "reason": fault.message})
            return
        if stop.done():
            return
        if now is None:
            stop.set_result(Interrupted.TAKEN if exists else Interrupted.CANCELLED)
        elif now.cancel_requested_at is not None:
            stop.set_result(Interrupted.CANCELLED)

    async def _watch_deadline(self, order: WorkOrder, stop: asyncio.Future[Interrupted]) -> None:
        if order.deadline_at is None:
            return
        while (left := (order.deadline_at - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(min(left, self._lease_seconds))
        if not stop.done():
            stop.set_result(Interrupted.LATE)
