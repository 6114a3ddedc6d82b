"""The server listens on what it is given: a bound socket, a port shared with another, TLS that knows its clients."""

from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path

from aiohttp import ClientSession

from kit import tls
from kit.http.server import Server
from kit.http.surface import Ask, Route
from kit.ids import SystemIds
from kit.tasks import Tasks
from tests.kit.http.plain import surface


async def _say_peer(ask: Ask) -> str | None:
    transport = ask.request.transport
    assert transport is not None
    peer = tls.peer_of_connection(transport.get_extra_info("ssl_object"))
    return None if peer is None else peer.uri


_PLAIN = surface(Route(method="GET", path="/plain/peer", access="public", handler=_say_peer, summary="Who calls"))


async def test_it_serves_on_a_socket_that_is_already_bound() -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    server = Server([_PLAIN], host="127.0.0.1", port=0, ids=SystemIds(), tasks=Tasks("test"), listening_socket=bound)
    await server.start()
    try:
        assert server.port == bound.getsockname()[1]
        async with ClientSession() as http, http.get(f"http://127.0.0.1:{server.port}/plain/peer") as answer:
            assert answer.status == 200
    finally:
        await server.stop(1)


async def test_two_servers_may_share_a_port() -> None:
    servers = []
    port = 0
    for _ in range(2):
        server = Server([_PLAIN], host="127.0.0.1", port=port, ids=SystemIds(), tasks=Tasks("test"), reuse_port=True)
        await server.start()
        port = server.port
        servers.append(server)
    for server in servers:
        await server.stop(1)
    assert servers[0].port == servers[1].port


async def test_a_handler_sees_the_certificate_of_its_client(tmp_path: Path) -> None:
    now, life = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    authority_key = tls.make_key()
    authority = tls.make_authority(authority_key, common_name="test", now=now, lifetime=life)

    def issue(name: str, *hosts: str) -> tuple[Path, Path]:
        key = tls.make_key()
        request = tls.make_signing_request(key, common_name=name)
        names = tls.Names(common_name=name, uri=f"test:{name}", hosts=hosts)
        signed = tls.sign_certificate(
            request, names, authority_pem=authority, authority_key_pem=authority_key, now=now, lifetime=life
        )
        paths = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        for path, text in zip(paths, (signed, key), strict=True):
            path.write_text(text)
        return paths

    certificate, key = issue("server", "127.0.0.1")
    ours = tls.server_context(certificate=certificate, key=key, authority_pem=authority, client_required=True)
    certificate, key = issue("client")
    theirs = tls.client_context(authority_pem=authority, certificate=certificate, key=key)
    server = Server([_PLAIN], host="127.0.0.1", port=0, ids=SystemIds(), tasks=Tasks("test"), ssl=ours)
    await server.start()
    try:
        async with ClientSession() as http:
            async with http.get(f"https://127.0.0.1:{server.port}/plain/peer", ssl=theirs) as answer:
                assert await answer.json() == "test:client"
    finally:
        await server.stop(1)
