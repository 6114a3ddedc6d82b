"""Builds by the engine's classic builder, under limits, told line by line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from agent.core.faults import BuildFailed, EngineRefused, EngineUnavailable
from agent.host.docker.context import BuildContext
from agent.host.docker.images import read_records
from agent.host.docker.session import EngineSession
from agent.rules.engine_containers import NODE_LABEL, render_cpu
from agent.rules.engine_stream import BuildLines, find_error


class EngineBuilds:
    """Builds images that carry `moorage.node=<node_id>`."""

    def __init__(self, session: EngineSession, *, node_id: str) -> None:
        self._session = session
        self._node_id = node_id

    async def build(
        self,
        folder: Path,
        *,
        dockerfile: str,
        tag: str,
        labels: Mapping[str, str],
        cpu_millis: int,
        memory_bytes: int,
    ) -> AsyncGenerator[str]:
        """Lines of the build's output; closing ends the connection, which is the engine's order to cancel."""
        doing = f"build {tag}"
        cpu = render_cpu(cpu_millis)
        params = {
            "version": "1",
            "t": tag,
            "dockerfile": dockerfile,
            "labels": json.dumps({**labels, NODE_LABEL: self._node_id}),
            "rm": "1",
            "forcerm": "1",
            "memory": str(memory_bytes),
            "memswap": str(memory_bytes),
            "cpuperiod": str(cpu["CpuPeriod"]),
            "cpuquota": str(cpu["CpuQuota"]),
        }
        context = BuildContext(folder, dockerfile=dockerfile)
        lines = BuildLines()
        built = False
        try:
            async with self._session.open(
                "POST",
                "/build",
                doing=doing,
                params=params,
                headers={"Content-Type": "application/x-tar"},
                data=context,
            ) as response:
                async for record in read_records(response):
                    for line in lines.feed(record):
                        yield line
                    if (sentence := find_error(record)) is not None:
                        for line in lines.finish():
                            yield line
                        raise BuildFailed(f"cannot {doing}: {sentence}")
                    built = built or _names_image(record)
            for line in lines.finish():
                yield line
        except EngineRefused as refused:
            raise BuildFailed(refused.message) from refused
        except EngineUnavailable as error:
            if context.failure is not None:
                raise BuildFailed(f"cannot {doing}: cannot read its context: {context.failure}") from error
            raise
        finally:
            context.close()
        if not built:
            raise BuildFailed(f"cannot {doing}: the engine ended the build without an image")


def _names_image(record: Mapping[str, Any]) -> bool:
    match record:
        case {"aux": {"ID": str()}}:
            return True
        case _:
            return False
