"""A controld by itself with the repositories of two services, for tests of images."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import ClientSession, ClientTimeout

from tests.controld.process import start_controld, until_healthy
from tests.fixtures.network import find_free_port

TOKEN: Final = secrets.token_hex(32)
AUTH: Final = {"Authorization": f"Bearer {TOKEN}"}


class Control:
    """A controld process with one project and its services."""

    def __init__(self, folder: Path, *, port: int | None = None, **settings: str) -> None:
        self.folder = folder
        self.settings = settings
        self.port = port or find_free_port()
        self.process: asyncio.subprocess.Process
        self.http: ClientSession

    async def start(self) -> None:
        """Run the process until it answers."""
        self.process = await start_controld(self.folder, port=self.port, setup_secret=TOKEN, **self.settings)
        url = f"http://127.0.0.1:{self.port}"
        self.http = ClientSession(url, headers=AUTH, timeout=ClientTimeout(total=120))
        await until_healthy(self.http, self.process)

    async def kill(self) -> None:
        """End the process at once."""
        await self.http.close()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.communicate()

    async def add_services(self, *names: str) -> None:
        """A project with these services."""
        async with self.http.post("/v1/projects", json={"name": "shop"}) as answer:
            project_id = (await answer.json())["id"]
        for name in names:
            service = {
                "project_id": project_id,
                "name": name,
                "source": {"type": "upload"},
                "domains": [],
                "internal_port": 8080,
                "health_check": {"path": "/", "timeout_seconds": 5},
            }
            async with self.http.post("/v1/services", json=service) as answer:
                assert answer.status in {200, 201}, await answer.text()

    def repository(self, service: str) -> str:
        """What Docker calls the repository of a service."""
        return f"127.0.0.1:{self.port}/shop/{service}"

    def rss_peak_bytes(self) -> int:
        """The most memory that the process had."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024


@asynccontextmanager
async def running_control(folder: Path, *, port: int | None = None, **settings: str) -> AsyncIterator[Control]:
    """A controld with two services, killed afterwards; the settings are its environment."""
    control = Control(folder, port=port, **settings)
    await control.start()
    try:
        await control.add_services("web", "api")
        yield control
    finally:
        await control.kill()
