"""The certificate authority's files: its key, and controld's own certificate under it."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from controld.core.faults import AuthorityUnusable
from kit import tls
from kit.files import create_file, replace_file

T = TypeVar("T")


class AuthorityFiles:
    """Keeps authority and own certificate in a folder of mode 0700, each a file of mode 0600 replaced as a whole.

    `authority.pem` holds the authority's certificate and key, `controld.pem` controld's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority_file = folder / "authority.pem"
        self._own_file = folder / "controld.pem"
        self._authority = ("", "")
        self._contexts: list[ssl.SSLContext] = []
        self._guard = threading.Lock()

    async def exists(self) -> bool:
        """Whether there is an authority."""
        return await asyncio.to_thread(self._authority_file.exists)

    async def make(self, *, common_name: str, now: dt.datetime, lifetime: dt.timedelta) -> None:
        """Make the authority where there is none; of two that try at once one wins, and both use it."""

        def work() -> None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key_pem = tls.make_key()
            certificate_pem = tls.make_authority(key_pem, common_name=common_name, now=now, lifetime=lifetime)
            create_file(self._authority_file, (certificate_pem + key_pem).encode())

        await asyncio.to_thread(work)

    async def open(self) -> str:
        """Take up the authority and return its certificate; raises AuthorityUnusable."""

        def work() -> str:
            certificate_pem, key_pem = _read_pair(self._authority_file)
            if not tls.is_key_of(key_pem, certificate_pem):
                raise AuthorityUnusable(f"cannot use {self._authority_file}: its key is not its certificate's")
            self._authority = (certificate_pem, key_pem)
            return certificate_pem

        return await asyncio.to_thread(_told, work)

    async def sign(
        self, csr_pem: str, names: tls.Names, *, now: dt.datetime, lifetime: dt.timedelta
    ) -> tuple[str, tls.Certificate]:
        """A certificate for the request's key and what it says; raises BadCertificate."""

        def work() -> tuple[str, tls.Certificate]:
            pem = self._sign(csr_pem, names, now, lifetime)
            return pem, tls.parse_certificate(pem)

        return await asyncio.to_thread(work)

    async def read_own(self) -> tls.Certificate | None:
        """What controld's own certificate says; None when there is none under this authority that can be read."""

        def work() -> tls.Certificate | None:
            try:
                certificate_pem, key_pem = _read_pair(self._own_file)
                if not tls.is_key_of(key_pem, certificate_pem) or not tls.is_signed_by(
                    certificate_pem, self._authority[0]
                ):
                    return None
                return tls.parse_certificate(certificate_pem)
            except (OSError, ValueError, tls.BadCertificate):
                return None

        return await asyncio.to_thread(work)

    async def make_own(self, names: tls.Names, *, now: dt.datetime, lifetime: dt.timedelta) -> None:
        """Give controld a fresh key and certificate; every context made before uses it for new connections."""

        def work() -> None:
            key_pem = tls.make_key()
            csr_pem = tls.make_signing_request(key_pem, common_name=names.common_name)
            replace_file(self._own_file, (self._sign(csr_pem, names, now, lifetime) + key_pem).encode())
            with self._guard:
                for context in self._contexts:
                    context.load_cert_chain(self._own_file)

        await asyncio.to_thread(work)

    async def make_server_context(self) -> ssl.SSLContext:
        """A context for the node side: it asks for a node's certificate and does without one."""
        return await asyncio.to_thread(
            lambda: self._follow(
                tls.server_context(
                    certificate=self._own_file,
                    key=self._own_file,
                    authority_pem=self._authority[0],
                    client_required=False,
                )
            )
        )

    async def make_client_context(self) -> ssl.SSLContext:
        """A context for dialling agents as controld."""
        return await asyncio.to_thread(
            lambda: self._follow(
                tls.client_context(authority_pem=self._authority[0], certificate=self._own_file, key=self._own_file)
            )
        )

    def _sign(self, csr_pem: str, names: tls.Names, now: dt.datetime, lifetime: dt.timedelta) -> str:
        certificate_pem, key_pem = self._authority
        return tls.sign_certificate(
            csr_pem, names, authority_pem=certificate_pem, authority_key_pem=key_pem, now=now, lifetime=lifetime
        )

    def _follow(self, context: ssl.SSLContext) -> ssl.SSLContext:
        with self._guard:
            self._contexts.append(context)
        return context


def _told(work: Callable[[], T]) -> T:
    try:
        return work()
    except (OSError, ValueError, tls.BadCertificate) as error:
        raise AuthorityUnusable(f"cannot use the certificate authority: {error}") from error


def _read_pair(path: Path) -> tuple[str, str]:
    text = path.read_text()
    marker = "-----BEGIN PRIVATE KEY-----"
    certificate_pem, found, key = text.partition(marker)
    if not found:
        raise ValueError(f"{path} holds no key")
    return certificate_pem, found + key
