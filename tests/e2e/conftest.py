"""One platform of real processes for all end-to-end tests of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from client.api import Api
from tests.e2e.platform import Platform, open_platform, run_down, run_up


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, docker_engine: object) -> Iterator[Platform]:
    """controld, an agent and HAProxy, kept alive as on a real machine; gone with all they made afterwards."""
    del docker_engine
    state = tmp_path_factory.mktemp("platform") / "state"
    try:
        yield open_platform(state, run_up(state, "--no-example"))
    finally:
        _keep_logs(state)
        run_down(state, "--purge")


@pytest.fixture
async def api(platform: Platform) -> AsyncIterator[Api]:
    """A client as the administrator."""
    async with platform.api() as api:
        yield api


def _keep_logs(state: Path) -> None:
    """Print the end of each process's log: pytest shows it when the run has failed."""
    for log in sorted((state / "logs").glob("*.log")):
        print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")
