"""The soak itself: cycles and rests for as long as it is asked to, under requests all the while, and its table."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.soak.readings import DAEMONS, TASKS, Reading, Rest, read_daemons
from benchmarks.soak.verdict import SPARE_FILES, find_faults, list_lives
from benchmarks.soak.work import lay_out
from kit.tasks import Tasks
from tests.e2e.platform import Load, Platform, steady_load

_REQUESTS_PER_SECOND: Final = 20
_SAMPLE_SECONDS: Final = 5.0
_KILLS: Final = {1: "agent", 2: "controld"}
_KILLS_AGAIN_AFTER: Final = 16
"""Cycles: a process has to live for a while to show what it does not let go of."""
_LONGEST_REST_SECONDS: Final = 45.0
_LOOK_SECONDS: Final = 1.0
_FEWEST_CYCLES: Final = 4
"""The first warms up, two begin with a kill, and a process that was killed needs two rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found: rests, requests that went through the ingress, and what is wrong, as sentences."""

    rests: Sequence[Rest]
    requests: int
    faults: Sequence[str]


class Soak:
    """Soaks one platform; `say` takes the lines of the table as they come."""

    def __init__(self, platform: Platform, *, image: str, rest_seconds: float, say: Callable[[str], None]) -> None:
        self._platform = platform
        self._image = image
        self._rest_seconds = rest_seconds
        self._say = say
        self._started = time.monotonic()
        self._phase = "lay out"
        self._rests: list[Rest] = []

    async def run(self, *, seconds: float) -> Outcome:
        """Cycles until so long has passed, four at least."""
        yard = await lay_out(self._platform, image=self._image)
        until = self._started + seconds
        async with contextlib.AsyncExitStack() as stack:
            loads = [await stack.enter_async_context(self._load(host)) for host in yard.hosts]
            await stack.enter_async_context(self._sampled())
            number = 0
            while number < _FEWEST_CYCLES or time.monotonic() < until:
                kill = _KILLS.get(number % _KILLS_AGAIN_AFTER)
                self._phase = f"cycle {number}" + (f", kill -9 {kill}" if kill else "")
                await yard.wear(number, kill=kill)
                self._phase = f"rest {number}"
                await self._rest(number)
                number += 1
        return Outcome(
            rests=self._rests, requests=sum(load.sent for load in loads), faults=list(self._find_faults(loads))
        )

    def _load(self, host: str) -> contextlib.AbstractAsyncContextManager[Load]:
        return steady_load(self._platform.ingress_url, host, per_second=_REQUESTS_PER_SECOND)

    async def _rest(self, number: int) -> None:
        """Wait for a while, and on while more files are open than at the rest before: idle connections end late."""
        deadline = time.monotonic() + _LONGEST_REST_SECONDS
        await asyncio.sleep(self._rest_seconds)
        while True:
            readings = await asyncio.to_thread(read_daemons, self._platform)
            before = self._rests[-1].readings if self._rests else {}
            if time.monotonic() > deadline or not _is_above(readings, before):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if number:
            self._rests.append(Rest(cycle=number, readings=readings))

    @contextlib.asynccontextmanager
    async def _sampled(self) -> AsyncIterator[None]:
        tasks = Tasks("soak")
        self._say(render_head())
        tasks.start("samples", self._sample())
        try:
            yield
        finally:
            await tasks.close()

    async def _sample(self) -> None:
        while True:
            readings = await asyncio.to_thread(read_daemons, self._platform)
            self._say(render_line(time.monotonic() - self._started, self._phase, readings))
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _find_faults(self, loads: Iterable[Load]) -> Iterator[str]:
        for load in loads:
            if load.failures:
                yield f"{len(load.failures)} of {load.sent} requests failed, the first: {load.failures[0]}"
        for daemon in DAEMONS:
            for life in list_lives(self._rests, daemon):
                yield from find_faults(daemon, life)


def _is_above(readings: dict[str, Reading], before: dict[str, Reading]) -> bool:
    return any(
        name in before and reading.pid == before[name].pid and reading.files > before[name].files + SPARE_FILES
        for name, reading in readings.items()
    )


def render_head() -> str:
    """The two lines above the samples."""
    names = "".join(f"  {daemon + ': RSS MB':>16} files threads children tasks" for daemon in DAEMONS)
    return f"{'s':>6}  {'':<28}{names}"


def render_line(seconds: float, phase: str, readings: dict[str, Reading]) -> str:
    """One line of the table."""
    return f"{seconds:6.0f}  {phase:<28}" + "".join(f"  {_render(readings.get(daemon))}" for daemon in DAEMONS)


def _render(reading: Reading | None) -> str:
    if reading is None:
        return f"{'down':>16} {'':>5} {'':>7} {'':>8} {'':>5}"
    tasks = reading.gauges.get(TASKS, "")
    return f"{reading.rss_bytes / 1e6:16.1f} {reading.files:5} {reading.threads:7} {reading.children:8} {tasks:>5}"


def render_summary(outcome: Outcome) -> str:
    """A table of each process's first and last rest."""
    lines = [
        "| process | rests | RSS MB, first to last | files | threads | children |",
        "|---|---|---|---|---|---|",
    ]
    for daemon in DAEMONS:
        for life in list_lives(outcome.rests, daemon):
            first, last = life[0], life[-1]
            lines.append(
                f"| {daemon} | {len(life)} | {first.rss_bytes / 1e6:.1f} to {last.rss_bytes / 1e6:.1f} "
                f"| {first.files} to {last.files} | {first.threads} to {last.threads} "
                f"| {first.children} to {last.children} |"
            )
    return "\n".join(lines)
