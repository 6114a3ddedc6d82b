"""ACME with a real authority: orders, proofs and refusals, and what it says of coming again."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.server
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from controld.core.domain_faults import IssuerLimited, IssuerRefused, IssuerUnreachable
from controld.gateways.acme import AcmeIssuer, fetch_directory, parse_retry_after
from controld.model.certificate import Order
from kit.clock import SystemClock
from kit.tls import is_key_of, make_key, read_hosts
from tests.certificates import make_pair
from tests.fixtures.network import find_free_port
from tests.nameserver import running_nameserver
from tests.pebble import BLOCKED, Pebble, running_pebble
from tests.serving import serve_app

HOST = "a.example.com"


class Answers:
    """What the world is told at the challenge path, by token."""

    def __init__(self) -> None:
        self.port = find_free_port()
        self.bodies: dict[str, str] = {}

    async def get(self, request: web.Request) -> web.Response:
        body = self.bodies.get(request.match_info["token"])
        return web.Response(status=404) if body is None else web.Response(text=body)


@contextlib.asynccontextmanager
async def authority(*addresses: str, bad_nonces: int = 5) -> AsyncIterator[tuple[Pebble, Answers]]:
    """A pebble for which every host has these addresses, and what answers on this machine.

    It refuses `bad_nonces` per cent of all good nonces, as a busy one does.
    """
    answers = Answers()
    app = web.Application()
    app.router.add_get("/.well-known/acme-challenge/{token}", answers.get)
    async with (
        serve_app(app, port=answers.port),
        running_nameserver(default=addresses) as names,
        running_pebble(http_port=answers.port, dns_port=names.port, bad_nonces=bad_nonces) as pebble,
    ):
        yield pebble, answers


@contextlib.asynccontextmanager
async def opened(directory_url: str, ca_file: Path | None) -> AsyncIterator[AcmeIssuer]:
    issuer = AcmeIssuer(directory_url, email="ops@example.com", ca_file=ca_file, clock=SystemClock())
    try:
        yield issuer
    finally:
        issuer.close()


async def begin(issuer: AcmeIssuer, account: str, key: str, host: str = HOST) -> Order:
    return await issuer.begin(host, account_key_pem=account, key_pem=key)


async def test_orders_of_one_account_are_proved_and_issued_and_a_wrong_proof_is_not() -> None:
    account, key = make_key(), make_key()
    async with authority("127.0.0.1") as (pebble, answers), opened(pebble.directory_url, pebble.ca_file) as issuer:
        order = await begin(issuer, account, key)
        assert order.proof is not None
        answers.bodies[order.proof.token] = order.proof.body
        issued = await issuer.finish(order)
        issuer.abandon(order)
        assert is_key_of(key, issued.chain_pem)
        assert read_hosts(issued.chain_pem) == {HOST}
        assert issued.chain_pem.count("BEGIN CERTIFICATE") > 1
        assert issued.not_after_at > dt.datetime.now(dt.UTC)
        async with opened(pebble.directory_url, pebble.ca_file) as another:
            second = await begin(another, account, make_key(), "b.example.com")
            assert second.proof is not None
            answers.bodies[second.proof.token] = "something else"
            with pytest.raises(IssuerRefused, match="could not see the proof"):
                await another.finish(second)
        log = pebble.log.read_text()
        assert log.count("There are now 1 accounts") == 1
        assert "There are now 2 accounts" not in log


async def test_a_host_that_the_authority_does_not_serve_is_refused_at_once() -> None:
    async with authority() as (pebble, _), opened(pebble.directory_url, pebble.ca_file) as issuer:
        with pytest.raises(IssuerRefused, match="the authority says"):
            await begin(issuer, make_key(), make_key(), BLOCKED)


async def test_a_directory_is_read_without_an_account_and_what_is_none_is_told(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(make_pair("elsewhere").chain_pem)
    async with authority() as (pebble, _):
        assert "newOrder" in await fetch_directory(pebble.directory_url, ca_file=pebble.ca_file)
        with pytest.raises(IssuerUnreachable, match="does not answer as one"):
            await fetch_directory(pebble.directory_url, ca_file=other)
        with pytest.raises(IssuerUnreachable, match="does not answer as one"):
            await fetch_directory(pebble.directory_url + "/nothing", ca_file=pebble.ca_file)
        assert "There are now" not in pebble.log.read_text()


async def test_an_authority_that_is_not_trusted_or_not_there_cannot_be_reached(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(make_pair("elsewhere").chain_pem)
    async with authority() as (pebble, _), opened(pebble.directory_url, other) as issuer:
        with pytest.raises(IssuerUnreachable):
            await begin(issuer, make_key(), make_key())
    async with opened(f"https://127.0.0.1:{find_free_port()}/dir", None) as issuer:
        with pytest.raises(IssuerUnreachable):
            await begin(issuer, make_key(), make_key())


async def test_an_order_that_is_abandoned_asks_no_more() -> None:
    async with authority() as (pebble, _), opened(pebble.directory_url, pebble.ca_file) as issuer:
        order = await begin(issuer, make_key(), make_key())
        issuer.abandon(order)
        with pytest.raises(IssuerUnreachable, match="given up"):
            await issuer.finish(order)


@contextlib.contextmanager
def limiting(folder: Path, *, status: int, code: str, retry_after: str) -> Iterator[tuple[str, Path]]:
    """An authority that has had enough of everybody: its directory, and what vouches for it."""
    pair = make_pair("localhost")
    (folder / "pair.pem").write_text(pair.pem)
    (folder / "ca.pem").write_text(pair.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    refusal = {"type": f"urn:ietf:params:acme:error:{code}", "detail": "too many certificates already issued"}

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            base = f"https://localhost:{server.server_port}"
            self.tell(200, {name: f"{base}/{name}" for name in ("newNonce", "newAccount", "newOrder")})

        def do_HEAD(self) -> None:
            self.tell(200, None)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.tell(status, refusal)

        def tell(self, status: int, body: object) -> None:
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Replay-Nonce", "bm9uY2U")
            if status >= 400:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}/dir", folder / "ca.pem"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_the_authoritys_word_on_when_to_come_again_is_taken(tmp_path: Path) -> None:
    with limiting(tmp_path, status=429, code="rateLimited", retry_after="3600") as (url, ca_file):
        async with opened(url, ca_file) as issuer:
            with pytest.raises(IssuerLimited, match="too many certificates") as caught:
                await begin(issuer, make_key(), make_key())
            assert caught.value.retry_after_seconds == 3600
    with limiting(tmp_path, status=503, code="serverInternal", retry_after="120") as (url, ca_file):
        async with opened(url, ca_file) as issuer:
            with pytest.raises(IssuerUnreachable) as caught_too:
                await begin(issuer, make_key(), make_key())
            assert caught_too.value.retry_after_seconds == 120


async def test_closing_ends_an_order_that_is_under_way() -> None:
    async with authority() as (pebble, _), opened(pebble.directory_url, pebble.ca_file) as issuer:
        order = await begin(issuer, make_key(), make_key())
        work = asyncio.ensure_future(issuer.finish(order))
        await asyncio.sleep(0)
        issuer.close()
        with pytest.raises((IssuerUnreachable, IssuerRefused, asyncio.CancelledError)):
            await work


async def test_an_authority_that_refuses_nonces_again_and_again_is_got_along_with() -> None:
    async with authority(bad_nonces=40) as (pebble, _), opened(pebble.directory_url, pebble.ca_file) as issuer:
        for number in range(3):
            order = await begin(issuer, make_key(), make_key(), f"h{number}.example.com")
            assert order.proof is not None
            issuer.abandon(order)


def test_retry_after_is_read_in_both_forms() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert parse_retry_after(None, now=now) is None
    assert parse_retry_after("60", now=now) == 60
    assert parse_retry_after("Thu, 01 Jan 2026 00:02:00 GMT", now=now) == 120
    assert parse_retry_after("Thu, 01 Jan 2020 00:02:00 GMT", now=now) == 0
    assert parse_retry_after("soon", now=now) is None
