"""Logs of containers of ours by the engine's API."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator

from agent.core.faults import ContainerGone, EngineRefused
from agent.host.docker.containers import EngineContainers
from agent.host.docker.events import to_nanoseconds
from agent.host.docker.session import EngineSession
from agent.model.engine import RawLine
from agent.rules.engine_events import render_since
from agent.rules.log_frames import LogFrames, TerminalLines


class EngineLogs:
    """Reads the log of one container at a time; closing the iterator closes its connection at once."""

    def __init__(self, session: EngineSession, containers: EngineContainers) -> None:
        self._session = session
        self._containers = containers

    async def read(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[RawLine]:
        """Lines, oldest first; those at `since` are included."""
        doing = f"read the log of container {container_id[:12]}"
        inspected = await self._containers.inspect(container_id, doing=doing)
        params = {
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "follow": "1" if follow else "0",
            "tail": "all" if tail is None else str(tail),
        }
        if since is not None:
            params["since"] = render_since(to_nanoseconds(since))
        frames = TerminalLines() if inspected["Config"].get("Tty") else LogFrames()
        try:
            async with self._session.open(
                "GET",
                f"/containers/{inspected['Id']}/logs",
                doing=doing,
                params=params,
                head_timeout_seconds=self._session.call_timeout_seconds,
            ) as response:
                async for chunk in response.content.iter_any():
                    for line in frames.feed(chunk):
                        yield line
        except EngineRefused as refused:
            if refused.engine_status == 404:
                raise ContainerGone(f"cannot {doing}: {refused.reason}") from refused
            raise
        for line in frames.finish():
            yield line
