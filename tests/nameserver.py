"""A name server on loopback that says what a test wants, over UDP and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer:
    """Answers A and AAAA for names in `records`, and for all others with `default`; `asked` are the names so far."""

    def __init__(self, records: Mapping[str, tuple[str, ...]], *, default: tuple[str, ...] = ()) -> None:
        self.records = dict(records)
        self.default = default
        self.asked: list[str] = []
        self.port = 0

    def answer(self, data: bytes) -> bytes:
        """The answer to one question."""
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        addresses = self.records.get(name, self.default)
        if not addresses:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        kind = {dns.rdatatype.A: ".", dns.rdatatype.AAAA: ":"}.get(question.rdtype, "?")
        if fitting := [address for address in addresses if kind in address]:
            answer.answer.append(
                dns.rrset.from_text(question.name, 1, "IN", dns.rdatatype.to_text(question.rdtype), *fitting)
            )
        return answer.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._server.answer(data), addr)


@contextlib.asynccontextmanager
async def running_nameserver(
    records: Mapping[str, tuple[str, ...]] | None = None, *, default: tuple[str, ...] = ()
) -> AsyncIterator[NameServer]:
    """A name server on a free port of 127.0.0.1 while the block runs."""
    server = NameServer(records or {}, default=default)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                told = server.answer(await reader.readexactly(size))
                writer.write(len(told).to_bytes(2, "big") + told)
        writer.close()

    listener = await asyncio.start_server(converse, "127.0.0.1", 0, family=socket.AF_INET)
    server.port = listener.sockets[0].getsockname()[1]
    datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(server), local_addr=("127.0.0.1", server.port)
    )
    try:
        yield server
    finally:
        datagrams.close()
        listener.close()
        await listener.wait_closed()
