"""The world that the tests of roles and of the document ask."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.controld.app import App
from tests.roles.probes import open_world
from tests.roles.world import World


@pytest.fixture
async def world(app: App) -> AsyncIterator[World]:
    """Two projects, `home` and `elsewhere`, with one of everything in each."""
    async with open_world(app) as opened:
        yield opened
