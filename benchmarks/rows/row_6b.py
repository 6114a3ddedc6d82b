"""6b: changes of one of 500 routes while another is under load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import LOAD_CORE, read_cpu_seconds
from benchmarks.proxies import Proxy, ProxyLoad, answering_upstream, load_proxy, make_state, our_proxy

_ROUTES: Final = 500
_CHANGES: Final = 50
_CHANGES_PER_SECOND: Final = 5


def measure(effort: Effort) -> list[Finding]:
    """Time changes alone, then load with changes in turn with load alone."""
    seconds = effort.pick(3.0, 1.0)
    with answering_upstream() as upstream, our_proxy(_ROUTES, upstream, (317,)) as proxy:
        apply_milliseconds, proxy_milliseconds = asyncio.run(_time_changes(proxy, upstream, effort.pick(_CHANGES, 10)))
        found = interleave(
            {
                "changing": partial(_load_while_changing, proxy, upstream, seconds=seconds),
                "calm": partial(load_proxy, proxy, seconds=seconds),
            },
            rounds=effort.rounds,
        )
    return [
        Finding(
            goal="CPU of the proxy for one change",
            limit=2.0,
            ours=(proxy_milliseconds,),
            unit="ms",
            note="the mean over all changes of one run, since one is shorter than a tick of the clock",
        ),
        Finding(goal="time until one change is done", limit=None, ours=tuple(apply_milliseconds), unit="ms"),
        Finding(
            goal=f"failed requests in a round at {_CHANGES_PER_SECOND} changes/s",
            limit=0.0,
            ours=(float(sum(load.failed for load in found["changing"])),),
            unit="requests",
            note="the sum over all rounds",
        ),
        Finding(
            goal=f"requests per second of CPU at {_CHANGES_PER_SECOND} changes/s",
            limit=0.95,
            at_least=True,
            ours=tuple(1e6 / load.microseconds for load in found["changing"]),
            peer=tuple(1e6 / load.microseconds for load in found["calm"]),
            peer_name="no changes",
            unit="1/s",
        ),
        Finding(
            goal=f"requests per second at {_CHANGES_PER_SECOND} changes/s",
            limit=None,
            ours=tuple(load.per_second for load in found["changing"]),
            peer=tuple(load.per_second for load in found["calm"]),
            peer_name="no changes",
            unit="1/s",
            note="what makes the changes takes its time from the load core, so the goal is judged by the proxy's CPU",
        ),
    ]


async def _time_changes(proxy: Proxy, upstream: int, count: int) -> tuple[list[float], float]:
    """Milliseconds of each change until done, and of the proxy's CPU in the mean."""
    assert proxy.ingress is not None
    waits: list[float] = []
    before = read_cpu_seconds(proxy.pid)
    for change in range(1, count + 1):
        started = time.perf_counter()
        await proxy.ingress.apply(make_state(_ROUTES, upstream, change=change))
        waits.append((time.perf_counter() - started) * 1000)
    return waits, (read_cpu_seconds(proxy.pid) - before) / count * 1000


def _load_while_changing(proxy: Proxy, upstream: int, *, seconds: float) -> ProxyLoad:
    with _changing(proxy, upstream):
        return load_proxy(proxy, seconds=seconds)


@contextlib.contextmanager
def _changing(proxy: Proxy, upstream: int) -> Iterator[None]:
    """Change the first route at the pace until the block ends, from a thread with a loop of its own."""
    ended = threading.Event()

    async def change() -> None:
        assert proxy.ingress is not None
        number = time.monotonic_ns()
        while not ended.is_set():
            number += 1
            await proxy.ingress.apply(make_state(_ROUTES, upstream, change=number))
            await asyncio.to_thread(ended.wait, 1 / _CHANGES_PER_SECOND)

    def run() -> None:
        os.sched_setaffinity(threading.get_native_id(), {LOAD_CORE})
        asyncio.run(change())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


ROW = Row(
    id="6b",
    title="Changing one of 500 routes: at most 2 ms at the proxy, no failed request, at least 0.95x the rate at 5/s",
    recipe="a host and a server of route 0 change through the runtime socket; `wrk -t1 -c64 -d3s` of host 317",
    measure=measure,
)
