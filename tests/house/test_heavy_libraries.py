"""Libraries that an idle daemon has no use for are loaded where they are used, not where it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = {
    "controld": (
        "acme",
        "alembic",
        "asyncpg",
        "cryptography",
        "dns",
        "pyrage",
        "sqlalchemy.dialects.postgresql",
        "sqlalchemy.orm",
    ),
    "agent": ("cryptography", "docker.utils.build"),
}


@pytest.mark.parametrize("program", _HEAVY)
def test_a_program_starts_without(program: str) -> None:
    listed = f"import sys, {program}.__main__; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    assert set(_HEAVY[program]).isdisjoint(loaded)
