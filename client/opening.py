"""Opens the control daemon that the kept login names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from client.api import Api
from client.config import read_login


@asynccontextmanager
async def open_api(config: Path) -> AsyncIterator[Api]:
    """The daemon and the token of MOORAGE_URL and MOORAGE_TOKEN, else of the file; raises NotLoggedIn."""
    login = await asyncio.to_thread(read_login, config)
    async with Api(login.url, token=login.token) as api:
        yield api
