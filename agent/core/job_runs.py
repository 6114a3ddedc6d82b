"""Carries out the attempts of jobs' runs that the spec names: each is started once, ended in time, and told."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Coroutine
from typing import Final

import msgspec

from agent.core.faults import EngineUnavailable, NetworkGone
from agent.core.ports import Engine, JobRunNotes
from agent.model import labels
from agent.model.engine import Container, ContainerState, EngineEvent, EventKind
from agent.model.job_run import Close, End, Make, Note, Setback, Start, Wait
from agent.rules.containers import locate_image, render_job_container
from agent.rules.job_runs import Seen, decide_job_run, describe_job_run, find_deadline, note_setback
from kit.clock import Clock
from kit.faults import Fault, Internal
from kit.tasks import Tasks
from wire.link import JobRunReport, JobRunState
from wire.spec import JobRun, NodeSpec, Origin

_log = logging.getLogger(__name__)

_SWEEP_SECONDS: Final = 30.0
"""While there are runs the engine is looked at so often even when it tells of nothing."""
_AGAIN_SECONDS: Final = 2.0
_ORPHAN_GRACE_SECONDS: Final = 10
_RUNNING: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING})


class JobRuns:
    """The loop between the runs of the spec and their containers.

    `run` turns until it is cancelled; a changed spec (`wake`) and the engine's events (`note_event`) bring it on. What
    it does for one run never waits for another. `reports` is read from memory.
    """

    def __init__(
        self,
        engine: Engine,
        notes: JobRunNotes,
        *,
        spec: Callable[[], NodeSpec | None],
        clock: Clock,
        node_id: str,
        network: str,
        registry_port: int,
        registry_login: tuple[str, str],
        pull_timeout_seconds: float = 900.0,
    ) -> None:
        self._engine = engine
        self._disk = notes
        self._spec = spec
        self._clock = clock
        self._node_id = node_id
        self._network = network
        self._registry_port = registry_port
        self._registry_login = registry_login
        self._pull_timeout_seconds = pull_timeout_seconds
        self._notes: dict[str, Note] = {}
        self._setbacks: dict[str, Setback] = {}
        self._deadlines: dict[str, float] = {}
        self._own: set[str] = set()
        """Keys of the attempts that this agent has started itself."""
        self._reports: dict[str, JobRunReport] = {}
        self._making: dict[str, asyncio.Task[None]] = {}
        self._busy: set[str] = set()
        self._has_containers = True
        """Some container of a run may be there; looked up at the start."""
        self._woken = asyncio.Event()
        self._notice: Callable[[], None] | None = None
        self._tasks = Tasks("job runs")

    def attach(self, *, notice: Callable[[], None]) -> None:
        """Call `notice` when a report has changed."""
        self._notice = notice

    def reports(self) -> tuple[JobRunReport, ...]:
        """What is observed of each attempt that the spec names, in its order."""
        spec = self._spec()
        runs = () if spec is None else spec.job_runs
        return tuple(self._reports.get(run.key) or JobRunReport(key=run.key, state=JobRunState.PENDING) for run in runs)

    def wake(self) -> None:
        """Look again soon."""
        self._woken.set()

    def note_event(self, event: EngineEvent) -> None:
        """Take an engine event: look again when it may be about a run."""
        if event.kind is EventKind.RESYNC or labels.JOB_RUN in dict(event.labels):
            self._has_containers = True
            self.wake()

    async def run(self) -> None:
        """Turn for ever; containers of runs stay as they are when it is cancelled."""
        outage: str | None = None
        try:
            self._notes.update(await self._disk.read_all())
            while True:
                self._woken.clear()
                try:
                    delay, outage = await self._step(), None
                except Fault as fault:
                    if fault.message != outage:
                        _log.warning("runs of jobs not looked at", extra={"fault": fault.message})
                    outage, delay = fault.message, _AGAIN_SECONDS
                except Exception:  # noqa: BLE001 - one bad step must not end the loop; the log has it
                    _log.exception("step of jobs' runs failed")
                    delay = _AGAIN_SECONDS
                await self._pause(delay)
        finally:
            await self._tasks.close()

    async def _pause(self, seconds: float | None) -> None:
        if seconds is None:
            await self._woken.wait()
            return
        timer = self._tasks.start("timer", self._wake_after(seconds))
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    async def _wake_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self.wake()

    async def _step(self) -> float | None:
        """Look and act; the seconds until the next look, or None when nothing is to be expected."""
        spec = self._spec()
        if spec is None:
            return None
        runs = {run.key: run for run in spec.job_runs}
        if not (runs or self._has_containers or self._notes):
            return None
        # Taken ahead of the look: what ends from here on is not in what is seen, and counts as under way.
        busy = frozenset(self._busy)
        containers = await self._look()
        waits = [self._advance(run, containers.get(key)) for key, run in runs.items() if key not in busy]
        self._hurry(runs)
        self._clear(runs, containers, busy)
        self._describe(runs, containers)
        if not runs and not containers:
            return None
        return max(min([_SWEEP_SECONDS, *(wait for wait in waits if wait is not None)]), 0.05)

    async def _look(self) -> dict[str, Container]:
        self._has_containers = False
        try:
            listed = await self._engine.list_containers()
        except Fault:
            self._has_containers = True
            raise
        containers = {key: each for each in listed if (key := each.label(labels.JOB_RUN)) is not None}
        self._has_containers = bool(containers)
        return containers

    def _see(self, key: str, container: Container | None) -> Seen:
        return Seen(
            container=container,
            note=self._notes.get(key, Note()),
            setback=self._setbacks.get(key),
            deadline=self._deadlines.get(key),
        )

    def _advance(self, run: JobRun, container: Container | None) -> float | None:
        """Begin the run's next step; the seconds until it should be looked at again."""
        now = self._clock.monotonic()
        if container is not None and container.state in _RUNNING and run.key not in self._deadlines:
            self._deadlines[run.key] = find_deadline(
                run, container, now=now, at=self._clock.now(), is_new=run.key in self._own
            )
        step = decide_job_run(run, self._see(run.key, container), now=now)
        match step:
            case Wait(seconds=seconds):
                return seconds
            case Make():
                self._making[run.key] = self._begin(run.key, self._make(run))
            case Start(container_id=container_id):
                self._begin(run.key, self._start(run, container_id))
            case End():
                self._begin(run.key, self._end(run, step))
            case Close(report=report):
                self._begin(run.key, self._close(run, report))
        return None

    def _hurry(self, runs: dict[str, JobRun]) -> None:
        """Break off what is only prepared for a run that is not wanted any more."""
        for key, task in list(self._making.items()):
            if key not in runs or runs[key].cancelled:
                task.cancel()

    def _clear(self, runs: dict[str, JobRun], containers: dict[str, Container], busy: frozenset[str]) -> None:
        """Remove containers and notes of runs that the spec names no more."""
        for key in (containers.keys() | self._notes.keys()) - runs.keys() - busy - self._busy:
            self._begin(key, self._drop(key, containers.get(key)))
        for known in (self._setbacks, self._deadlines):
            for key in known.keys() - runs.keys() - self._busy:
                del known[key]

    def _describe(self, runs: dict[str, JobRun], containers: dict[str, Container]) -> None:
        reports = {key: describe_job_run(run, self._see(key, containers.get(key))) for key, run in runs.items()}
        if reports != self._reports:
            self._reports = reports
            if self._notice is not None:
                self._notice()

    def _begin(self, key: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self._busy.add(key)
        return self._tasks.start(key, self._perform(key, work))

    async def _perform(self, key: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
            self._setbacks.pop(key, None)
        except EngineUnavailable as fault:
            # Nobody's fault: it is tried again for as long as it takes.
            self._set_back(key, fault, final=False)
        except Fault as fault:
            _log.warning("run of a job does not go on", extra={"run": key, "fault": fault.message})
            self._set_back(key, fault)
        except Exception:  # noqa: BLE001 - a bug in one run is told on it and stops no other
            _log.exception("run of a job failed in the agent", extra={"run": key})
            self._set_back(key, Internal("cannot go on: the agent met an error of its own, which is in its log"))
        finally:
            self._busy.discard(key)
            self._making.pop(key, None)
            self.wake()

    def _set_back(self, key: str, fault: Fault, *, final: bool | None = None) -> None:
        setback = note_setback(self._setbacks.get(key), fault, now=self._clock.monotonic())
        self._setbacks[key] = setback if final is None else dataclasses.replace(setback, final=final)

    async def _make(self, run: JobRun) -> None:
        reference = locate_image(run, registry_port=self._registry_port)
        if run.origin is not Origin.LOCAL and await self._engine.find_image(reference) is None:
            await self._engine.pull_image(
                reference,
                login=self._registry_login if run.origin is Origin.HOSTED else None,
                timeout_seconds=self._pull_timeout_seconds,
            )
        await self._engine.ensure_network(self._network)
        await self._engine.create_container(
            render_job_container(run, node_id=self._node_id, network=self._network, image=reference)
        )

    async def _start(self, run: JobRun, container_id: str) -> None:
        await self._write(run.key, begun=True)
        self._own.add(run.key)
        try:
            await self._engine.start_container(container_id)
        except NetworkGone:
            # It never ran: another container is made in the network that is there now.
            await self._engine.remove_container(container_id)
            await self._write(run.key, begun=False)
            raise

    async def _end(self, run: JobRun, step: End) -> None:
        await self._write(run.key, ending=step.because)
        if step.by_force:
            await self._engine.remove_container(step.container_id)
        else:
            await self._engine.stop_container(step.container_id, grace_seconds=run.stop_seconds)

    async def _close(self, run: JobRun, report: JobRunReport) -> None:
        await self._write(run.key, report=report)

    async def _drop(self, key: str, container: Container | None) -> None:
        if container is not None:
            if container.state in _RUNNING:
                await self._engine.stop_container(container.id, grace_seconds=_ORPHAN_GRACE_SECONDS)
            await self._engine.remove_container(container.id)
        await self._disk.remove(key)
        self._notes.pop(key, None)
        self._own.discard(key)

    async def _write(self, key: str, **changes: object) -> None:
        # Names and types are those of Note, which checks them when it is read again.
        note = msgspec.structs.replace(self._notes.get(key, Note()), **changes)
        await self._disk.write(key, note)
        self._notes[key] = note
