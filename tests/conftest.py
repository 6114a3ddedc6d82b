"""What every test has: no outside network, no blocking calls on the loop, and the real services it asks for."""

from __future__ import annotations

pytest_plugins = [
    "tests.fixtures.controld",
    "tests.fixtures.disks",
    "tests.fixtures.docker",
    "tests.fixtures.engine",
    "tests.fixtures.guards",
    "tests.fixtures.network",
    "tests.fixtures.git",
    "tests.fixtures.postgres",
    "tests.fixtures.properties",
    "tests.fixtures.registry",
    "tests.fixtures.sops",
    "tests.fixtures.store",
    "tests.fixtures.workers",
]
