"""9b: from starting an agent to its first heartbeat's answer, beside importing its libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Final

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import LOAD_CORE, ROOT, on_core, time_command
from benchmarks.platforms import running_platform
from scripts.local.supervision import Supervisor
from tests.e2e.platform import Platform

_IMPORTS: Final = "import uvloop, aiohttp.web, msgspec"
_MILLISECONDS: Final = 1000


def measure(effort: Effort) -> list[Finding]:
    """Take the agent of a platform down, then start it and run the imports in turn."""
    with running_platform() as platform:
        Supervisor(platform.places).stop_program("agent")
        imports = on_core(LOAD_CORE, [sys.executable, "-c", _IMPORTS])
        found = interleave(
            {"ours": lambda: _start(platform), "peer": lambda: time_command(imports)[0]}, rounds=effort.rounds
        )
    return [
        Finding(
            goal="start to the first heartbeat's answer",
            limit=2.5,
            ours=tuple(seconds * _MILLISECONDS for seconds in found["ours"]),
            peer=tuple(seconds * _MILLISECONDS for seconds in found["peer"]),
            peer_name=f"`{_IMPORTS}`",
            unit="ms",
            note="of a node that has enrolled; controld and the agent on different cores",
        )
    ]


def _start(platform: Platform) -> float:
    """Seconds from starting the process until it says that its link is up."""
    command = [sys.executable, "-P", "-m", "agent", "run", "--config", str(platform.places.agent_settings)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    with subprocess.Popen(
        on_core(LOAD_CORE, command), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stderr is not None
            for line in running.stderr:
                if "link is up" in line:
                    return time.perf_counter() - started
            raise RuntimeError("the agent has ended before its first heartbeat")
        finally:
            running.terminate()


ROW = Row(
    id="9b",
    title="Agent start to first heartbeat: at most 2.5x the time to import its libraries",
    recipe="an enrolled node's agent started five times on its own core, beside `python -c` with the imports",
    measure=measure,
)
