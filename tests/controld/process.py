"""Starts the real control daemon as a process of its own, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout


@asynccontextmanager
async def running_controld(folder: Path, *, port: int, **settings: str) -> AsyncIterator[ClientSession]:
    """A session to a controld with its data in the folder; it is stopped by SIGTERM afterwards and exits with 0."""
    process = await start_controld(folder, port=port, **settings)
    try:
        async with ClientSession(f"http://127.0.0.1:{port}", timeout=ClientTimeout(total=10)) as http:
            await until_healthy(http, process)
            yield http
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def start_controld(folder: Path, *, port: int, **settings: str) -> asyncio.subprocess.Process:
    """The process, just started; the settings are its environment."""
    environment = {
        **os.environ,
        "MOORAGE_DATA_DIR": str(folder),
        "MOORAGE_LISTEN_PORT": str(port),
        "MOORAGE_NODE_LISTEN_HOST": "127.0.0.1",
        "MOORAGE_NODE_LISTEN_PORT": "0",
        **{f"MOORAGE_{name.upper()}": value for name, value in settings.items()},
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "controld", env=environment, stderr=asyncio.subprocess.PIPE
    )


async def until_healthy(http: ClientSession, process: asyncio.subprocess.Process) -> None:
    """Return when it answers; fail when it ends instead, or takes longer than 30 s."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(ClientError):
                async with http.get("/healthz") as answer:
                    assert answer.status == 200
                    return
            if process.returncode is not None:
                assert process.stderr is not None
                raise AssertionError((await process.stderr.read()).decode())
            await asyncio.sleep(0.05)
