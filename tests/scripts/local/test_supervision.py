"""What runs is started again when it dies, and is left alone while nothing changed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.local.places import Places
from scripts.local.supervision import Supervisor, render_configuration


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.make()
    return places


@pytest.fixture
def supervisor(places: Places) -> Iterator[Supervisor]:
    supervisor = Supervisor(places)
    yield supervisor
    supervisor.stop()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_program_is_started_again(places: Places, supervisor: Supervisor) -> None:
    supervisor.start(render_configuration(places, programs={"one": "sleep 1000"}))
    _until(lambda: supervisor.states() == {"one": "RUNNING"})
    pid = supervisor.pid("one")
    os.kill(pid, signal.SIGKILL)
    _until(lambda: supervisor.pid("one") not in {0, pid})


def test_starting_again_leaves_alone_what_did_not_change(places: Places, supervisor: Supervisor) -> None:
    supervisor.start(render_configuration(places, programs={"same": "sleep 1000", "old": "sleep 1000"}))
    _until(lambda: set(supervisor.states().values()) == {"RUNNING"})
    same, old = supervisor.pid("same"), supervisor.pid("old")
    supervisor.start(
        render_configuration(places, programs={"same": "sleep 1000", "old": "sleep 2000", "new": "sleep 1000"})
    )
    _until(lambda: supervisor.states() == {"same": "RUNNING", "old": "RUNNING", "new": "RUNNING"})
    assert supervisor.pid("same") == same
    assert supervisor.pid("old") != old


def test_stopping_ends_every_program(places: Places, supervisor: Supervisor) -> None:
    supervisor.start(render_configuration(places, programs={"one": "sleep 1000"}))
    _until(lambda: supervisor.states() == {"one": "RUNNING"})
    pid = supervisor.pid("one")
    supervisor.stop()
    assert not supervisor.is_running()
    _until(lambda: not Path(f"/proc/{pid}").exists())
    supervisor.stop()
