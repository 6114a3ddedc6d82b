"""A whole platform for a row, started and removed as `scripts/up` and `scripts/down --purge` do it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.measure import LOAD_CORE, ROOT, SERVER_CORE, pin
from tests.e2e.platform import Platform, await_end, docker, open_platform, put_service, read_up

# The limit of requests stays on and counts, but never refuses the one address that all the load comes from.
_NO_REFUSALS: Final = {"MOORAGE_REQUESTS_PER_MINUTE": "1000000000"}
_BUSYBOX: Final = Path("/bin/busybox")
_DOCKERFILE: Final = """FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
WORKDIR /www
CMD ["/bin/sh", "-c", "/bin/busybox hostname > index.html && exec /bin/busybox httpd -f -p 8080 -h /www"]
"""


@contextlib.contextmanager
def running_platform(environment: Mapping[str, str] | None = None, *, place: Path | None = None) -> Iterator[Platform]:
    """The daemons on the server core, HAProxy on the load core, state below `place`; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="moorage-bench-", dir=place) as folder:
        state = Path(folder) / "state"
        settings = {**os.environ, **_NO_REFUSALS, **(environment or {}), "PYTHONPATH": str(ROOT)}
        try:
            _run("scripts.local.up", "--state", str(state), "--no-example", environment=settings)
            platform = open_platform(state, read_up(state))
            for program, core in {"controld": SERVER_CORE, "agent": SERVER_CORE, "haproxy": LOAD_CORE}.items():
                pin(platform.pid(program), core)
            yield platform
        finally:
            _run("scripts.local.down", "--state", str(state), "--purge", environment=settings)


def fetch(platform: Platform, path: str) -> bytes:
    """The body of a GET as the administrator."""
    request = urllib.request.Request(platform.api_url + path, headers=authorization(platform))
    with urllib.request.urlopen(request, timeout=20) as response:
        body: bytes = response.read()
    return body


def authorization(platform: Platform) -> dict[str, str]:
    """The administrator's API token as a header."""
    return {"Authorization": f"Bearer {platform.token}"}


@contextlib.contextmanager
def local_image() -> Iterator[str]:
    """An image with a busybox that serves its container's host name over HTTP on port 8080; removed afterwards."""
    tag = f"moorage-bench:{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(_BUSYBOX, Path(folder) / "busybox")
        (Path(folder) / "busybox").chmod(0o755)
        (Path(folder) / "Dockerfile").write_text(_DOCKERFILE)
        docker("build", "-q", "-t", tag, folder)
    try:
        yield tag
    finally:
        docker("rmi", "-f", tag)


def _run(module: str, *arguments: str, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module} failed: {done.stderr}{done.stdout}")


async def make_service(platform: Platform, image: str, *, name: str) -> str:
    """A service with one healthy replica of the image, which may use both cores; its id."""
    async with platform.api() as api:
        limits = {"cpu_millis": 2000, "memory_bytes": 128 * 1024 * 1024}
        source = {"type": "external_image", "image": image}
        service = await put_service(api, name, source=source, resource_limits=limits)
        deployment = await api.deploy({"source": "external_image", "service_id": service.id, "image": image})
        ended = await await_end(api, deployment.id)
        if ended.status != "Healthy":
            raise RuntimeError(f"the deployment is {ended.status}: {ended.reason}")
        return service.id
