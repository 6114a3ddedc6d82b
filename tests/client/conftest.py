"""What the tests of the command line share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client.config import Login, write_login
from tests.controld.app import SETUP_SECRET, App


@pytest.fixture
async def config(app: App, tmp_path: Path) -> AsyncIterator[Path]:
    """A login at a control daemon that runs."""
    file = tmp_path / "login.json"
    async with app.serve() as http:
        await asyncio.to_thread(write_login, file, Login(url=str(http._base_url), token=SETUP_SECRET))
        yield file
