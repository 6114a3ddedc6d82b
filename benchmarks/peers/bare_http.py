"""A bare aiohttp handler on uvloop that answers `GET /v1/node` with the bytes of a file, without anything else."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from kit.lifecycle import settle_memory


async def serve(body: bytes, port: int) -> None:
    """Answer on loopback until SIGTERM."""

    async def get_node(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/node", get_node)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    settle_memory()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]).read_bytes(), int(sys.argv[2])))
