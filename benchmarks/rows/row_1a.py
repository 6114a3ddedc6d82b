"""1a: one authenticated read of a service beside FastAPI with the SQLAlchemy ORM over the same SQLite file."""

from __future__ import annotations

import json
import urllib.request
from functools import partial

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import (
    PEERS_PYTHON,
    SERVER_CORE,
    find_free_port,
    measure_request_cost,
    process,
    wait_for_port,
)
from benchmarks.platforms import authorization, fetch, running_platform
from tests.e2e.platform import Platform

_DOCUMENT_BYTES = 637


def measure(effort: Effort) -> list[Finding]:
    """Run controld with one service, and the peer over its database, and load them in turn."""
    with running_platform() as platform:
        path = f"/v1/services/{_make_service(platform)}"
        ours = fetch(platform, path)
        port = find_free_port()
        database = f"sqlite+aiosqlite:///{platform.places.controld / 'controld.db'}"
        peer = [str(PEERS_PYTHON), "-m", "benchmarks.peers.fastapi_orm", database, str(port)]
        with process(peer, core=SERVER_CORE) as peer_pid:
            wait_for_port(port)
            headers = authorization(platform)
            theirs = _fetch(f"http://127.0.0.1:{port}{path}", headers)
            if json.loads(theirs) != json.loads(ours):
                raise RuntimeError(f"the two sides answer differently: {ours!r} and {theirs!r}")
            load = partial(measure_request_cost, headers=headers, seconds=effort.pick(3.0, 1.0))
            found = interleave(
                {
                    "ours": lambda: load(platform.pid("controld"), f"{platform.api_url}{path}"),
                    "peer": lambda: load(peer_pid, f"http://127.0.0.1:{port}{path}"),
                },
                rounds=effort.rounds,
            )
    return [
        Finding(
            goal="CPU per authenticated read of a service",
            limit=0.2,
            ours=tuple(found["ours"]),
            peer=tuple(found["peer"]),
            peer_name="FastAPI, uvicorn, SQLAlchemy ORM",
            unit="μs",
            note=f"{len(ours)} B document; an API token, the request limit and security headers on our side",
        )
    ]


def _make_service(platform: Platform) -> str:
    """A service whose document has the size of the recipe."""
    asked = {
        "project_id": json.loads(fetch(platform, "/v1/projects"))[0]["id"],
        "name": "document",
        "domains": [],
        "source": {"type": "external_image", "image": "docker.io/library/nginx:1.27"},
        "internal_port": 8080,
        "health_check": {"path": "/", "timeout_seconds": 5},
        "resource_limits": {"cpu_millis": 500, "memory_bytes": 536870912},
        "env": [["MODE", ""]],
    }
    document = b""
    for _ in range(2):
        request = urllib.request.Request(
            f"{platform.api_url}/v1/services",
            data=json.dumps(asked).encode(),
            headers={**authorization(platform), "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            document = response.read()
        asked["env"] = [["MODE", "x" * (_DOCUMENT_BYTES - len(document))]]
    service_id: str = json.loads(document)["id"]
    return service_id


def _fetch(url: str, headers: dict[str, str]) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as response:
        body: bytes = response.read()
    return body


ROW = Row(
    id="1a",
    title="an authenticated read of one service: at most 0.2x the CPU of FastAPI on uvicorn with the SQLAlchemy ORM",
    recipe="`wrk -t1 -c32 -d3s`; a whole platform, its controld loaded through the public listener; 637 B",
    measure=measure,
)
