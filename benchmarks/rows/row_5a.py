"""5a: an authenticated upload, stored, hashed and checked, beside `nginx` PUT of the same bytes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.archives import build_noise
from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.lag import probing
from benchmarks.measure import (
    LOAD_CORE,
    on_core,
    read_cpu_seconds,
    read_peak_rss_bytes,
    read_rss_bytes,
    reset_peak_rss,
)
from benchmarks.nginx import Nginx, running_nginx
from benchmarks.platforms import authorization, running_platform
from tests.e2e.platform import Platform, put_service

_PLACE: Final = Path("/dev/shm")
_MEGABYTE: Final = 1_000_000
_SIZES: Final = {"67 MB": 67 * _MEGABYTE, "1 GB": 1000 * _MEGABYTE}
_QUICK_SIZES: Final = {"2 MB": 2 * _MEGABYTE}
_CAPS: Final = {
    "MOORAGE_UPLOAD_MAX_BYTES": str(2**31),
    "MOORAGE_UPLOAD_MAX_UNCOMPRESSED_BYTES": str(2**31),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    """Seconds that curl took and of the server's CPU; ours: memory in MB, longest answer of a health check in ms."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float = 0.0
    rise_megabytes: float = 0.0
    lag_milliseconds: float = 0.0


def measure(effort: Effort) -> list[Finding]:
    """Run controld and nginx side by side on tmpfs and send both the same archives."""
    findings = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_PLACE)))
        platform = stack.enter_context(running_platform(_CAPS, place=_PLACE))
        service_id = asyncio.run(_make_service(platform))
        nginx = stack.enter_context(running_nginx(folder))
        for name, size in effort.pick(_SIZES, _QUICK_SIZES).items():
            archive = folder / "archive.tar.zst"
            build_noise(archive, size)
            found = interleave(
                {
                    "ours": partial(_upload, platform, service_id, archive),
                    "nginx": partial(_put, archive, nginx),
                },
                rounds=effort.rounds,
            )
            findings += _tell(name, found["ours"], found["nginx"])
    return findings


def _tell(name: str, ours: list[_Upload], nginx: list[_Upload]) -> list[Finding]:
    return [
        Finding(
            goal=f"time to upload {name}",
            limit=1.05,
            ours=tuple(one.seconds for one in ours),
            peer=tuple(one.seconds for one in nginx),
            peer_name="nginx PUT",
            unit="s",
            note="ours is also hashed, decompressed and checked entry by entry, all on the one core of the server",
        ),
        Finding(
            goal=f"CPU to upload {name}",
            limit=None,
            ours=tuple(one.cpu_seconds for one in ours),
            peer=tuple(one.cpu_seconds for one in nginx),
            peer_name="nginx PUT",
            unit="s",
        ),
        Finding(
            goal=f"peak RSS of controld during {name}",
            limit=64.0,
            ours=tuple(one.peak_megabytes for one in ours),
            unit="MB",
            note="the whole process",
        ),
        Finding(
            goal=f"rise of RSS over that before {name}",
            limit=None,
            ours=tuple(one.rise_megabytes for one in ours),
            unit="MB",
        ),
        Finding(
            goal=f"loop lag during {name}",
            limit=20.0,
            ours=tuple(one.lag_milliseconds for one in ours),
            unit="ms",
            note="the longest that a health check took, asked every 5 ms on a connection of its own",
        ),
    ]


async def _make_service(platform: Platform) -> str:
    async with platform.api() as api:
        return (await put_service(api, "uploads")).id


def _upload(platform: Platform, service_id: str, archive: Path) -> _Upload:
    pid = platform.pid("controld")
    before = read_rss_bytes(pid)
    reset_peak_rss(pid)
    cpu_seconds = read_cpu_seconds(pid)
    header = f"Authorization: {authorization(platform)['Authorization']}"
    with probing(platform.ports.api) as lag:
        seconds = _curl(
            "-X",
            "POST",
            "-H",
            header,
            "-H",
            "Content-Type: application/zstd",
            "-T",
            str(archive),
            f"{platform.api_url}/v1/services/{service_id}/uploads",
        )
    peak = read_peak_rss_bytes(pid)
    for stored in platform.places.controld.rglob("*.tar.zst"):
        stored.unlink()
    return _Upload(
        seconds=seconds,
        cpu_seconds=read_cpu_seconds(pid) - cpu_seconds,
        peak_megabytes=peak / _MEGABYTE,
        rise_megabytes=(peak - before) / _MEGABYTE,
        lag_milliseconds=lag.longest_milliseconds(),
    )


def _put(archive: Path, server: Nginx) -> _Upload:
    stored = server.folder / "archive"
    before = read_cpu_seconds(server.pid)
    seconds = _curl("-T", str(archive), f"{server.url}/{stored.name}")
    cpu_seconds = read_cpu_seconds(server.pid) - before
    if stored.stat().st_size != archive.stat().st_size:
        raise RuntimeError("nginx did not store the archive")
    stored.unlink()
    return _Upload(seconds=seconds, cpu_seconds=cpu_seconds)


def _curl(*arguments: str) -> float:
    command = ["curl", "-sS", "--fail-with-body", "-o", "/dev/null", "-w", "%{time_total}", *arguments]
    done = subprocess.run(on_core(LOAD_CORE, command), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"curl failed: {done.stderr}{done.stdout}")
    return float(done.stdout)


ROW = Row(
    id="5a",
    title="Upload with sign-in, stored and hashed: at most 1.05x the time of nginx PUT without a hash; peak RSS 64 MB, "
    "loop lag 20 ms",
    recipe="`curl -T` of an incompressible tar.zst, 67 MB and 1 GB, both servers on core 0 and storing on tmpfs",
    measure=measure,
)
