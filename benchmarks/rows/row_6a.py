"""6a: a request through the ingress with 500 hosts, beside one host and beside a bare HAProxy."""

from __future__ import annotations

import contextlib
import statistics
from functools import partial
from typing import Final

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.proxies import answering_upstream, bare_proxy, load_proxy, our_proxy

_ROUTES: Final = 500
_ASKED: Final = (0, 317, 499)


def measure(effort: Effort) -> list[Finding]:
    """Run the three proxies side by side and load them in turn."""
    seconds = effort.pick(3.0, 1.0)
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(answering_upstream())
        proxies = {
            "many": stack.enter_context(our_proxy(_ROUTES, upstream, _ASKED)),
            "one": stack.enter_context(our_proxy(1, upstream, (0,))),
            "bare": stack.enter_context(bare_proxy(upstream)),
        }
        found = interleave(
            {name: partial(load_proxy, proxy, seconds=seconds) for name, proxy in proxies.items()},
            rounds=effort.rounds,
        )
    busy = statistics.median(load.busy_percent for load in found["many"])
    failed = sum(load.failed for loads in found.values() for load in loads)
    many = tuple(load.microseconds for load in found["many"])
    one = tuple(load.microseconds for load in found["one"])
    bare = tuple(load.microseconds for load in found["bare"])
    return [
        Finding(
            goal=f"CPU per request with {_ROUTES} hosts",
            limit=1.15,
            ours=many,
            peer=one,
            peer_name="one host",
            unit="μs",
            note=f"{failed} failed requests over all three proxies",
        ),
        Finding(
            goal=f"requests per second of CPU with {_ROUTES} hosts",
            limit=0.85,
            at_least=True,
            ours=tuple(1e6 / cost for cost in many),
            peer=tuple(1e6 / cost for cost in bare),
            peer_name="bare HAProxy, same access log",
            unit="1/s",
        ),
        Finding(
            goal=f"requests per second with {_ROUTES} hosts",
            limit=None,
            ours=tuple(load.per_second for load in found["many"]),
            peer=tuple(load.per_second for load in found["bare"]),
            peer_name="bare HAProxy, same access log",
            unit="1/s",
            note=f"the proxy used {busy:.0f} % of its core; well below 100 the load core, upstream included, "
            "is what limits the rate, so the goal is judged by CPU",
        ),
    ]


ROW = Row(
    id="6a",
    title="500 hosts through the ingress: at most 1.15x the CPU per request of one host, at least 0.85x bare HAProxy",
    recipe="`wrk -t1 -c64 -d3s` of hosts 0, 317 and 499; upstream, wrk and the log's reader on core 1",
    measure=measure,
)
