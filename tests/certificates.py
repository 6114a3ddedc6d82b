"""Certificates for hosts, good and bad, and a client that says which one it was shown."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A self-signed certificate and its key, in PEM."""

    chain_pem: str
    key_pem: str

    @property
    def pem(self) -> str:
        """Both in one."""
        return self.chain_pem + self.key_pem

    @property
    def serial(self) -> int:
        """Tells it from others."""
        return x509.load_pem_x509_certificate(self.chain_pem.encode()).serial_number


def make_pair(host: str, *, start: dt.datetime = dt.datetime(2024, 1, 1, tzinfo=dt.UTC), days: float = 36_500) -> Pair:
    """A pair for the host, valid for that long from the start on."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host[:64])])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(signed.public_bytes(serialization.Encoding.PEM).decode(), key_pem.decode())


async def shown_serial(port: int, host: str | None) -> int | None:
    """Serial number of the certificate that 127.0.0.1 shows for the host (None: no SNI); None when it refuses."""
    certificate = await fetch_certificate(port, host)
    return None if certificate is None else certificate.serial_number


async def fetch_certificate(port: int, host: str | None) -> x509.Certificate | None:
    """The certificate that 127.0.0.1 shows for the host, whoever signed it; None when it refuses the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host or "")
    except ssl.SSLError:
        return None
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return x509.load_der_x509_certificate(shown)


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """A client for which every name is this machine and every certificate good."""
    connector = aiohttp.TCPConnector(ssl=False, resolver=_ThisMachine())
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session
    # asyncio closes the socket under a TLS connection some turns after the connection.
    await asyncio.sleep(0.1)


class _ThisMachine(aiohttp.abc.AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        return
