"""What a daemon holds at one moment: memory, descriptors, threads, children, and what it counts itself."""

from __future__ import annotations

import http.client
import urllib.request
from dataclasses import dataclass, field
from typing import Final

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.platform import Platform

DAEMONS: Final = ("controld", "agent")
TASKS: Final = "tasks"
NONE_AT_REST: Final = ("log_followers", "log_viewers", "consoles")
"""What the agent counts of what people have open: nothing, once they have gone."""
_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One process at one moment; `gauges` are what it tells of itself, by name, empty where it tells nothing."""

    pid: int
    rss_bytes: int
    files: int
    threads: int
    children: int
    gauges: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Both daemons at rest after a cycle."""

    cycle: int
    readings: dict[str, Reading]


def read_daemons(platform: Platform) -> dict[str, Reading]:
    """Those that run at this moment."""
    found: dict[str, Reading] = {}
    for name in DAEMONS:
        try:
            found[name] = read_process(platform.pid(name), gauges=_read_gauges(platform) if name == "agent" else {})
        except psutil.NoSuchProcess:
            continue
    return found


def read_process(pid: int, *, gauges: dict[str, int]) -> Reading:
    """What the kernel says of the process; psutil.NoSuchProcess when there is none."""
    if not pid:
        raise psutil.NoSuchProcess(pid)
    process = psutil.Process(pid)
    return Reading(
        pid=pid,
        rss_bytes=process.memory_info().rss,
        files=process.num_fds(),
        threads=process.num_threads(),
        children=len(process.children(recursive=True)),
        gauges=gauges,
    )


def _read_gauges(platform: Platform) -> dict[str, int]:
    url = f"http://127.0.0.1:{platform.ports.agent_loopback}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as response:
            text = response.read().decode()
    except (OSError, http.client.HTTPException):
        return {}
    told = {family.name: family.samples for family in text_string_to_metric_families(text)}
    return {
        name: int(told[family][0].value)
        for name in (TASKS, *NONE_AT_REST)
        if (family := f"moorage_agent_{name}") in told
    }
