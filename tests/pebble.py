"""A real ACME authority (pebble) on free ports, with a certificate of its own that clients are given to trust."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import ipaddress
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fixtures.network import find_free_port

BLOCKED = "blocked.example.com"
"""A host for which it never issues."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pebble:
    """A pebble that runs; `log` tells what it was asked."""

    directory_url: str
    ca_file: Path
    log: Path


@contextlib.asynccontextmanager
async def running_pebble(*, http_port: int, dns_port: int, bad_nonces: int = 5) -> AsyncIterator[Pebble]:
    """A pebble that looks hosts up at `dns_port` and asks for proofs at `http_port`, while the block runs.

    It refuses `bad_nonces` per cent of all good nonces, as a busy one does.
    """
    launched = launched_pebble(http_port=http_port, dns_port=dns_port, bad_nonces=bad_nonces)
    pebble = await asyncio.to_thread(launched.__enter__)
    try:
        yield pebble
    finally:
        await asyncio.to_thread(launched.__exit__, None, None, None)


@contextlib.contextmanager
def launched_pebble(*, http_port: int, dns_port: int, bad_nonces: int = 5) -> Iterator[Pebble]:
    """Likewise, for who has no loop."""
    with tempfile.TemporaryDirectory(prefix="pebble") as name:
        folder = Path(name)
        port = find_free_port()
        _write_pair(folder)
        settings: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{find_free_port()}",
            "certificate": str(folder / "cert.pem"),
            "privateKey": str(folder / "key.pem"),
            "httpPort": http_port,
            "tlsPort": find_free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "domainBlocklist": [BLOCKED],
        }
        (folder / "pebble.json").write_bytes(msgspec.json.encode({"pebble": settings}))
        environment = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(bad_nonces)}
        command = ["pebble", "-strict", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns_port}"]
        with launched_program(command, folder / "log", port=port, environment=environment):
            yield Pebble(f"https://127.0.0.1:{port}/dir", folder / "cert.pem", folder / "log")


@contextlib.contextmanager
def launched_names() -> Iterator[int]:
    """The port of a name server for which every host is this machine."""
    port, management = find_free_port(), find_free_port()
    off = [word for name in ("-http01", "-https01", "-tlsalpn01", "-defaultIPv6") for word in (name, "")]
    command = ["pebble-challtestsrv", *off, "-dns01", f"127.0.0.1:{port}", "-management", f"127.0.0.1:{management}"]
    with tempfile.TemporaryDirectory(prefix="names") as name:
        with launched_program(command, Path(name) / "log", port=management):
            yield port


@contextlib.contextmanager
def launched_program(
    command: Sequence[str], log: Path, *, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A program that listens at the port when the block begins, ended with it."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(log.read_text())
        yield
    finally:
        process.terminate()
        process.wait()


def _write_pair(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pebble")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
