"""A local platform's daemons run as those of an installed one do."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.local.configuration import render_programs
from scripts.local.places import Places
from tests.scripts.host.test_units import read_unit


@pytest.mark.parametrize("program", ["controld", "agent"])
def test_a_daemon_has_the_environment_of_its_unit(tmp_path: Path, program: str) -> None:
    _, *environment = render_programs(Places(tmp_path))[program].split(f"{program} run")[0].split()
    assert set(read_unit(f"moorage-{program}.service")["Service"]["Environment"]) <= set(environment)
