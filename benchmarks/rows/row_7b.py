"""7b: a thousand consoles opened and dropped in ugly ways, and what they leave."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import aiohttp

from benchmarks.harness import Effort, Finding, Row
from benchmarks.measure import read_rss_bytes
from benchmarks.platforms import local_image, make_service, running_platform
from tests.consoles import Place
from tests.e2e.platform import Platform
from tests.ugly_consoles import Traces, open_and_drop, read_traces, settle_down

_SETTLE_SECONDS = 10.0


def measure(effort: Effort) -> list[Finding]:
    """One service with one replica; what is there afterwards beyond what was there before."""
    with local_image() as image, running_platform() as platform:
        return asyncio.run(_measure(platform, image, count=effort.pick(1000, 44)))


async def _measure(platform: Platform, image: str, *, count: int) -> list[Finding]:
    service_id = await make_service(platform, image, name="shelled")
    (container,) = await platform.containers(service_id=service_id)
    place = Place(platform.api_url, platform.token, service_id)
    async with aiohttp.ClientSession() as http:
        await open_and_drop(http, place, count=44)  # what each way needs once is there from here on
        await settle_down(http, place)
        await asyncio.sleep(_SETTLE_SECONDS)
        before, memory = await read_traces(platform, container), _read_memory(platform)
        started = time.perf_counter()
        await open_and_drop(http, place, count=count)
        seconds = time.perf_counter() - started
        await settle_down(http, place)
        await asyncio.sleep(_SETTLE_SECONDS)
        left = _subtract(await read_traces(platform, container), before)
        grown = [now - was for now, was in zip(_read_memory(platform), memory, strict=True)]
    note = f"{count} consoles in {seconds:.0f} s"
    return [
        *(
            Finding(goal=f"{name.replace('_', ' ')} left", limit=most, ours=(float(value),), unit="", note=note)
            for (name, value), most in zip(dataclasses.asdict(left).items(), (0, 0, 3, 3, 0), strict=True)
        ),
        Finding(goal="growth of the agent", limit=None, ours=(grown[0] / 1e6,), unit="MB", note=note),
        Finding(goal="growth of controld", limit=None, ours=(grown[1] / 1e6,), unit="MB", note=note),
    ]


def _subtract(after: Traces, before: Traces) -> Traces:
    was = dataclasses.asdict(before)
    return Traces(**{name: value - was[name] for name, value in dataclasses.asdict(after).items()})


def _read_memory(platform: Platform) -> list[int]:
    return [read_rss_bytes(platform.pid(program)) for program in ("agent", "controld")]


ROW = Row(
    id="7b",
    title="A thousand consoles dropped in ugly ways leave no process, no exec and no descriptor",
    recipe="resets, half-closes, nonsense, unread output, killed shells, daemons left behind; two at one time",
    measure=measure,
)
