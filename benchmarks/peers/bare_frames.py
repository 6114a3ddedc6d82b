"""Length-prefixed frames on a bare asyncio.Protocol: each heartbeat is decoded, put into a dict and answered."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import ClassVar, cast

import uvloop

from benchmarks.fleet import AUTHORITY, SERVER
from benchmarks.heartbeats import LENGTH
from kit import tls
from kit.lifecycle import settle_memory
from wire.link import Heartbeat, HeartbeatAnswered, decode_from_agent, encode_frame

_DIGEST = "sha256:" + "0" * 64


class BareFrames(asyncio.Protocol):
    """One connection; what its node said last is in `kept` under a number of its own."""

    kept: ClassVar[dict[int, Heartbeat]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports for TLS have all that an asyncio.Transport has, without being one.
        self._transport = cast("asyncio.Transport", transport)
        self._data = b""

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        at = 0
        while len(data) - at >= LENGTH.size:
            end = at + LENGTH.size + LENGTH.unpack_from(data, at)[0]
            if len(data) < end:
                break
            heartbeat = decode_from_agent(data[at + LENGTH.size : end])
            self.kept[id(self)] = heartbeat
            answer = encode_frame(HeartbeatAnswered(seq=heartbeat.seq, digest=_DIGEST, beat_seconds=5.0))
            self._transport.write(LENGTH.pack(len(answer)) + answer)
            at = end
        self._data = data[at:]


async def serve(port: int, identities: Path | None) -> None:
    """Answer on loopback until SIGTERM, by TLS with client certificates when identities are given."""
    context = None
    if identities is not None:
        own = identities / SERVER
        authority = (identities / AUTHORITY).read_text()
        context = tls.server_context(certificate=own, key=own, authority_pem=authority, client_required=True)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(BareFrames, "127.0.0.1", port, ssl=context, backlog=1024)
    settle_memory()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
