"""Shells inside containers by the engine's exec, on a connection that carries their bytes as they are."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any, Final

from agent.core.faults import ContainerGone, EngineRefused, EngineUnavailable, ShellMissing
from agent.host.docker.containers import EngineContainers
from agent.host.docker.exec_stream import ExecStream
from agent.host.docker.session import EngineSession
from agent.host.processes import MARK, ProcessTable
from agent.model.consoles import Leader
from kit.clock import Clock

SHELLS: Final = (("/bin/bash",), ("/bin/sh",), ("/bin/busybox", "sh"), ("busybox", "sh"))
"""What is tried in turn."""

_KNOWN_SHELLS: Final = 256
_NOT_STARTED: Final = frozenset({126, 127, 128})
_LOOK_SECONDS: Final = 0.02
_START_SECONDS: Final = 20.0
_CODE_SECONDS: Final = 2.0


class EngineExecs:
    """Opens shells as the container's root, on a terminal or on pipes, in the replica's environment and directory.

    Which shell an image has is remembered, so that only its first console tries them in turn.
    """

    def __init__(
        self, session: EngineSession, containers: EngineContainers, *, processes: ProcessTable, clock: Clock
    ) -> None:
        self._session = session
        self._containers = containers
        self._processes = processes
        self._clock = clock
        self._known: dict[str, tuple[str, ...]] = {}

    async def open(self, container_id: str, *, console_id: str, cols: int, rows: int, tty: bool) -> ExecShell:
        """A shell that runs, with its terminal of that size if it has one."""
        doing = f"open a console in container {container_id[:12]}"
        inspected = await self._containers.inspect(container_id, doing=doing)
        image = str(inspected["Image"])
        known = self._known.get(image)
        reason = ""
        for command in (known, *SHELLS) if known is not None else SHELLS:
            exec_id = await self._create(container_id, command, console_id=console_id, tty=tty, doing=doing)
            stream = await self._start(exec_id, tty=tty, doing=doing)
            try:
                pid = await self._await_pid(exec_id, doing=doing)
                if pid is not None:
                    leader = await asyncio.to_thread(self._processes.read_leader, pid, container_id)
                    shell = ExecShell(
                        self,
                        exec_id,
                        stream,
                        program=" ".join(command),
                        leader=leader or Leader(pid=pid, started=0),
                        tty=tty,
                    )
                    await shell.resize(cols, rows)
                    self._remember(image, command)
                    return shell
            except BaseException:
                stream.abort()
                raise
            reason = stream.early.decode(errors="replace").strip()
            stream.abort()
        tried = ", ".join(" ".join(command) for command in SHELLS)
        raise ShellMissing(
            f"cannot open a console: the image has no shell (tried {tried}); the engine says: {reason or 'nothing'}"
        )

    async def resize(self, exec_id: str, *, cols: int, rows: int) -> None:
        """Give the terminal of an exec another size; raises EngineRefused when it has ended."""
        params = {"h": str(rows), "w": str(cols)}
        await self._session.call("POST", f"/exec/{exec_id}/resize", doing="resize a console", params=params)

    async def fetch_exit_code(self, exec_id: str) -> int | None:
        """What an exec ended with; None when the engine does not say so within 2 s."""
        deadline = self._clock.monotonic() + _CODE_SECONDS
        while True:
            said = await self._inspect(exec_id, doing="ask how a console ended")
            if said is None:
                return None
            if not said["Running"]:
                code = said["ExitCode"]
                return None if code is None else int(code)
            if self._clock.monotonic() >= deadline:
                return None
            await self._clock.sleep(_LOOK_SECONDS)

    async def _create(
        self, container_id: str, command: tuple[str, ...], *, console_id: str, tty: bool, doing: str
    ) -> str:
        body = {
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": tty,
            "User": "0",
            "Env": [f"{MARK}={console_id}", *(["TERM=xterm-256color"] if tty else [])],
            "Cmd": list(command),
        }
        try:
            answer = await self._session.call("POST", f"/containers/{container_id}/exec", doing=doing, body=body)
        except EngineRefused as refused:
            if refused.engine_status in {404, 409}:
                raise ContainerGone(f"cannot {doing}: {refused.reason}") from refused
            raise
        return str(answer["Id"])

    async def _start(self, exec_id: str, *, tty: bool, doing: str) -> ExecStream:
        version = await self._session.fetch_api_version()
        loop = asyncio.get_running_loop()
        seconds = self._session.call_timeout_seconds
        body = json.dumps({"Detach": False, "Tty": tty}).encode()
        head = (
            f"POST /v{version}/exec/{exec_id}/start HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n"
            f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        try:
            async with asyncio.timeout(seconds):
                make_stream = functools.partial(ExecStream, tty=tty)
                _, stream = await loop.create_unix_connection(make_stream, str(self._session.socket))
                try:
                    stream.write(head + body)
                    status = await stream.begun
                except BaseException:
                    stream.abort()
                    raise
        except TimeoutError as error:
            raise self._session.unavailable(doing, f"no answer within {seconds:g} s") from error
        except OSError as error:
            raise self._session.unavailable(doing, str(error)) from error
        if status not in {101, 200}:
            stream.abort()
            raise self._session.refused(doing, status=status, reason=f"the engine answered {status}")
        return stream

    async def _await_pid(self, exec_id: str, *, doing: str) -> int | None:
        """The first process of an exec on this host; None when it could not be started."""
        deadline = self._clock.monotonic() + _START_SECONDS
        wait = 0.002
        while True:
            said = await self._inspect(exec_id, doing=doing)
            if said is None:
                raise ContainerGone(f"cannot {doing}: the container ended")
            if said["Pid"]:
                return int(said["Pid"])
            if not said["Running"] and said["ExitCode"] is not None:
                if said["ExitCode"] in _NOT_STARTED:
                    return None
                raise ContainerGone(f"cannot {doing}: the container ended")
            if self._clock.monotonic() >= deadline:
                raise EngineUnavailable(f"cannot {doing}: the engine did not start it within {_START_SECONDS:g} s")
            await self._clock.sleep(wait)
            wait = min(2 * wait, _LOOK_SECONDS)

    async def _inspect(self, exec_id: str, *, doing: str) -> dict[str, Any] | None:
        try:
            said: dict[str, Any] = await self._session.call("GET", f"/exec/{exec_id}/json", doing=doing)
        except EngineRefused as refused:
            if refused.engine_status == 404:
                return None
            raise
        return said

    def _remember(self, image: str, command: tuple[str, ...]) -> None:
        if len(self._known) >= _KNOWN_SHELLS:
            self._known.clear()
        self._known[image] = command


class ExecShell:
    """A shell of `EngineExecs`; fulfils `agent.core.ports_consoles.Shell`."""

    def __init__(
        self, execs: EngineExecs, exec_id: str, stream: ExecStream, *, program: str, leader: Leader, tty: bool
    ) -> None:
        self.program = program
        self.leader = leader
        self.listen = stream.listen
        self.write = stream.write
        self.end_input = stream.end_input
        self.drained = stream.drained
        self.pause = stream.pause
        self.resume = stream.resume
        self.close = stream.abort
        self._execs = execs
        self._exec_id = exec_id
        self._stream = stream
        self._tty = tty

    @property
    def is_full(self) -> bool:
        """Whether it takes less input than it was given."""
        return self._stream.is_full

    async def resize(self, cols: int, rows: int) -> None:
        """Give its terminal another size; nothing where it has none."""
        if self._tty:
            await self._execs.resize(self._exec_id, cols=cols, rows=rows)

    async def fetch_exit_code(self) -> int | None:
        """What it ended with."""
        return await self._execs.fetch_exit_code(self._exec_id)
