"""Keys, certificates and TLS contexts."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit import tls

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@dataclass
class Pair:
    certificate: Path
    key: Path


@dataclass
class Authority:
    key_pem: str
    pem: str
    folder: Path

    def pair(self, name: str, *, lifetime: dt.timedelta = DAY, now: dt.datetime = NOW) -> Pair:
        key = tls.make_key()
        request = tls.make_signing_request(key, common_name="whatever")
        names = tls.Names(common_name=name, uri=f"test://{name}", hosts=(f"{name}.internal", "127.0.0.1"))
        pem = tls.sign_certificate(
            request, names, authority_pem=self.pem, authority_key_pem=self.key_pem, now=now, lifetime=lifetime
        )
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        pair.certificate.write_text(pem)
        pair.key.write_text(key)
        return pair


def make(folder: Path) -> Authority:
    key = tls.make_key()
    return Authority(key, tls.make_authority(key, common_name="test", now=NOW, lifetime=DAY), folder)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make(tmp_path)


async def meet(server: ssl.SSLContext, client: ssl.SSLContext, *, name: str) -> tls.Peer | None:
    """The server's view of the client after both have said a word."""
    seen: asyncio.Future[tls.Peer | None] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        seen.set_result(tls.peer_of_connection(writer.get_extra_info("ssl_object")))
        writer.write(b"welcome\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
    try:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        try:
            writer.write(b"hello\n")
            if await reader.readline() != b"welcome\n":
                raise ConnectionResetError
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
        return await seen
    finally:
        listener.close()


async def test_both_ends_know_each_other_by_the_names_in_their_certificates(authority: Authority) -> None:
    server, client = authority.pair("server"), authority.pair("client")

    peer = await meet(
        tls.server_context(
            certificate=server.certificate, key=server.key, authority_pem=authority.pem, client_required=True
        ),
        tls.client_context(authority_pem=authority.pem, certificate=client.certificate, key=client.key),
        name="server.internal",
    )

    assert peer is not None
    assert peer.uri == "test://client"
    assert peer.serial == tls.parse_certificate(client.certificate.read_text()).serial


async def test_a_client_without_certificate_is_nobody_where_one_is_optional(authority: Authority) -> None:
    server = authority.pair("server")
    context = tls.server_context(
        certificate=server.certificate, key=server.key, authority_pem=authority.pem, client_required=False
    )

    assert await meet(context, tls.client_context(authority_pem=authority.pem), name="server.internal") is None


async def test_a_client_refuses_a_server_that_bears_another_name(authority: Authority) -> None:
    server = authority.pair("server")
    context = tls.server_context(
        certificate=server.certificate, key=server.key, authority_pem=authority.pem, client_required=False
    )

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await meet(context, tls.client_context(authority_pem=authority.pem), name="other.internal")


async def test_a_certificate_of_another_authority_or_one_that_ran_out_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "foreign").mkdir()
    stranger = make(tmp_path / "foreign").pair("client")
    old = authority.pair("old", now=NOW - 2 * DAY, lifetime=DAY)
    server = authority.pair("server")
    context = tls.server_context(
        certificate=server.certificate, key=server.key, authority_pem=authority.pem, client_required=False
    )

    for pair in (stranger, old):
        client = tls.client_context(authority_pem=authority.pem, certificate=pair.certificate, key=pair.key)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await meet(context, client, name="server.internal")


async def test_another_pair_loaded_into_a_context_serves_the_next_connection(authority: Authority) -> None:
    first, second = authority.pair("first"), authority.pair("second")
    context = tls.server_context(
        certificate=first.certificate, key=first.key, authority_pem=authority.pem, client_required=False
    )
    client = tls.client_context(authority_pem=authority.pem)
    await meet(context, client, name="first.internal")

    context.load_cert_chain(second.certificate, second.key)

    await meet(context, client, name="second.internal")


def test_a_certificate_is_renewed_at_two_thirds_of_its_life(authority: Authority) -> None:
    pair = authority.pair("node", lifetime=dt.timedelta(days=90))

    facts = tls.parse_certificate(pair.certificate.read_text())

    assert dt.timedelta(days=59) < facts.renew_at() - NOW < dt.timedelta(days=60, hours=1)
    assert tls.is_key_of(pair.key.read_text(), pair.certificate.read_text())
    assert not tls.is_key_of(tls.make_key(), pair.certificate.read_text())


def test_a_certificate_is_told_from_one_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    certificate_pem = authority.pair("node").certificate.read_text()

    assert tls.is_signed_by(certificate_pem, authority.pem)
    assert not tls.is_signed_by(certificate_pem, make(tmp_path).pem)


def test_a_request_that_is_not_one_is_refused(authority: Authority) -> None:
    for text in ("", "nonsense", authority.pem):
        with pytest.raises(tls.BadCertificate):
            tls.sign_certificate(
                text,
                tls.Names(common_name="x", uri="test://x"),
                authority_pem=authority.pem,
                authority_key_pem=authority.key_pem,
                now=NOW,
                lifetime=DAY,
            )
    for text in ("", "nonsense"):
        with pytest.raises(tls.BadCertificate):
            tls.compute_fingerprint(text)
