"""5c: a layer pulled from the hosted registry with sign-in, beside `nginx` sending the same file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.lag import probing
from benchmarks.measure import LOAD_CORE, on_core, read_cpu_seconds
from benchmarks.nginx import Nginx, running_nginx
from benchmarks.platforms import authorization, running_platform
from tests.e2e.platform import Platform, put_service

_PLACE: Final = Path("/dev/shm")
_MEGABYTE: Final = 1_000_000
_SERVICE: Final = "layers"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pull:
    """Seconds that curl took and of the server's CPU; ours: the longest answer of a health check in ms."""

    seconds: float
    cpu_seconds: float
    lag_milliseconds: float = 0.0


def measure(effort: Effort) -> list[Finding]:
    """Put one file into both, on tmpfs, and fetch it from each in turn."""
    size = effort.pick(1000, 2) * _MEGABYTE
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_PLACE)))
        platform = stack.enter_context(running_platform(place=_PLACE))
        nginx = stack.enter_context(running_nginx(folder))
        asyncio.run(_make_service(platform))
        layer = nginx.folder / "layer"
        layer.write_bytes(os.urandom(size))
        url = _push(platform, layer)
        found = interleave(
            {"ours": partial(_pull, platform, url), "nginx": partial(_fetch, nginx)}, rounds=effort.rounds
        )
    ours, peer = found["ours"], found["nginx"]
    return [
        Finding(
            goal="time to pull 1 GB",
            limit=None,
            ours=tuple(one.seconds for one in ours),
            peer=tuple(one.seconds for one in peer),
            peer_name="nginx with sendfile",
            unit="s",
        ),
        Finding(
            goal="CPU to pull 1 GB",
            limit=None,
            ours=tuple(one.cpu_seconds for one in ours),
            peer=tuple(one.cpu_seconds for one in peer),
            peer_name="nginx with sendfile",
            unit="s",
        ),
        Finding(
            goal="loop lag meanwhile",
            limit=20.0,
            ours=tuple(one.lag_milliseconds for one in ours),
            unit="ms",
            note="the longest that a health check took, asked every 5 ms on a connection of its own",
        ),
    ]


async def _make_service(platform: Platform) -> None:
    async with platform.api() as api:
        await put_service(api, _SERVICE)


def _push(platform: Platform, layer: Path) -> str:
    """Where the layer is to be had."""
    with layer.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    blobs = f"{platform.api_url}/v2/default/{_SERVICE}/blobs"
    _curl(platform, "-X", "POST", "-T", str(layer), f"{blobs}/uploads?digest={digest}")
    return f"{blobs}/{digest}"


def _pull(platform: Platform, url: str) -> _Pull:
    pid = platform.pid("controld")
    before = read_cpu_seconds(pid)
    with probing(platform.ports.api) as lag:
        seconds = _curl(platform, url)
    return _Pull(
        seconds=seconds, cpu_seconds=read_cpu_seconds(pid) - before, lag_milliseconds=lag.longest_milliseconds()
    )


def _fetch(server: Nginx) -> _Pull:
    before = read_cpu_seconds(server.pid)
    seconds = _curl(None, f"{server.url}/layer")
    return _Pull(seconds=seconds, cpu_seconds=read_cpu_seconds(server.pid) - before)


def _curl(platform: Platform | None, *arguments: str) -> float:
    headers = [] if platform is None else ["-H", f"Authorization: {authorization(platform)['Authorization']}"]
    command = ["curl", "-sS", "--fail-with-body", "-o", "/dev/null", "-w", "%{time_total}", *headers, *arguments]
    done = subprocess.run(on_core(LOAD_CORE, command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"curl failed: {done.stderr}{done.stdout}")
    return float(done.stdout)


ROW = Row(
    id="5c",
    title="A layer pulled from the hosted registry with sign-in, beside nginx sending the same file; loop lag 20 ms",
    recipe="`curl` of 1 GB of noise, both servers on core 0 and reading from tmpfs",
    measure=measure,
)
