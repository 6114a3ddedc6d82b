"""A whole platform for a row, started and removed as `scripts/up` and `scripts/down --purge` do it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.measure import LOAD_CORE, ROOT, SERVER_CORE, pin
from tests.e2e.platform import Platform, open_platform, read_up

# The limit of requests stays on and counts, but never refuses the one address that all the load comes from.
_NO_REFUSALS: Final = {"MOORAGE_REQUESTS_PER_MINUTE": "1000000000"}


@contextlib.contextmanager
def running_platform(environment: Mapping[str, str] | None = None) -> Iterator[Platform]:
    """The daemons on the server core, HAProxy on the load core; all that they made is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as folder:
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
