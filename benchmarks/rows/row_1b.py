"""1b: one authenticated read of a small document beside a bare handler that returns the same bytes."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import SERVER_CORE, find_free_port, measure_request_cost, process, wait_for_port
from benchmarks.platforms import authorization, fetch, running_platform


def measure(effort: Effort) -> list[Finding]:
    """Run controld, linked with a node, beside the bare server and load them in turn."""
    with running_platform() as platform, tempfile.TemporaryDirectory() as folder:
        body = fetch(platform, "/v1/node")
        document, port = Path(folder) / "node.json", find_free_port()
        document.write_bytes(body)
        bare = [sys.executable, "-m", "benchmarks.peers.bare_http", str(document), str(port)]
        with process(bare, core=SERVER_CORE) as bare_pid:
            wait_for_port(port)
            load = partial(measure_request_cost, headers=authorization(platform), seconds=effort.pick(3.0, 1.0))
            found = interleave(
                {
                    "ours": lambda: load(platform.pid("controld"), f"{platform.api_url}/v1/node"),
                    "bare": lambda: load(bare_pid, f"http://127.0.0.1:{port}/v1/node"),
                },
                rounds=effort.rounds,
            )
    return [
        Finding(
            goal="CPU per request of `GET /v1/node` with sign-in",
            limit=1.25,
            ours=tuple(found["ours"]),
            peer=tuple(found["bare"]),
            peer_name="bare aiohttp and uvloop",
            unit="μs",
            note=f"{len(body)} B document; an API token, the request limit and security headers on our side",
        )
    ]


ROW = Row(
    id="1b",
    title="`GET /v1/node` with sign-in: at most 1.25x the CPU of a bare aiohttp handler returning the same bytes",
    recipe="`wrk -t1 -c32 -d3s`; a whole platform, its controld loaded through the public listener",
    measure=measure,
)
