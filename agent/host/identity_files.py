"""The node's identity on disk, and the TLS contexts that follow it when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent.core.faults import ControlUntrusted, IdentityUnreadable, NotEnrolled
from agent.model.identity import Identity
from kit import tls
from kit.files import replace_file
from wire.identity import node_uri

_FORMAT: Final = 1


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file's content; the moments stand in it so that an idle agent need not load `cryptography`."""

    format: int
    node_id: str
    name: str
    control_url: str
    authority_pem: str
    certificate_pem: str
    key_pem: str
    serial: str
    not_after_at: dt.datetime
    renew_at: dt.datetime


class IdentityFiles:
    """Keeps the identity in `identity.json` of a folder, mode 0600, replaced as a whole.

    `pair.pem` beside it, with certificate and key for the TLS library, is derived from it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "identity.json"
        self._pair = folder / "pair.pem"
        self._contexts: list[ssl.SSLContext] = []
        self._seen: tuple[int, int] | None = None
        self._known: Identity | None = None
        self._guard = threading.Lock()

    async def read(self) -> Identity | None:
        """The identity, or None where there is none; a file that another process has replaced is read again."""
        return await asyncio.to_thread(self._read)

    async def make_request(self, *, common_name: str) -> tuple[str, str]:
        """A fresh key and a signing request for it; nothing is written."""
        return await asyncio.to_thread(_make_request, common_name)

    async def write(
        self,
        *,
        node_id: str,
        name: str,
        control_url: str,
        authority_pem: str,
        certificate_pem: str,
        key_pem: str,
    ) -> Identity:
        """Keep it as a whole or not at all, and let every context given out before use it."""

        def work() -> Identity:
            facts = tls.parse_certificate(certificate_pem)
            if facts.uri != node_uri(node_id) or not tls.is_key_of(key_pem, certificate_pem):
                raise ControlUntrusted(f"cannot keep identity of node {node_id}: the certificate is not for it")
            kept = _Kept(
                format=_FORMAT,
                node_id=node_id,
                name=name,
                control_url=control_url,
                authority_pem=authority_pem,
                certificate_pem=certificate_pem,
                key_pem=key_pem,
                serial=facts.serial,
                not_after_at=facts.not_after_at,
                renew_at=facts.renew_at(),
            )
            with self._guard:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(self._file, msgspec.json.format(msgspec.json.encode(kept)))
            identity = self._read()
            assert identity is not None
            return identity

        return await asyncio.to_thread(work)

    def compute_fingerprint(self, authority_pem: str) -> str:
        """Lowercase hex SHA-256 of the certificate."""
        return tls.compute_fingerprint(authority_pem)

    async def make_client_context(self) -> ssl.SSLContext:
        """A context for dialling controld as this node; it follows renewals."""

        def work() -> ssl.SSLContext:
            identity = self._demand()
            with self._naming_file():
                return self._follow(tls.client_context(authority_pem=identity.authority_pem, certificate=self._pair))

        return await asyncio.to_thread(work)

    async def make_server_context(self) -> ssl.SSLContext:
        """A context for answering holders of the authority's certificates; it follows renewals."""

        def work() -> ssl.SSLContext:
            identity = self._demand()
            with self._naming_file():
                return self._follow(
                    tls.server_context(
                        certificate=self._pair,
                        key=self._pair,
                        authority_pem=identity.authority_pem,
                        client_required=True,
                    )
                )

        return await asyncio.to_thread(work)

    @contextlib.contextmanager
    def _naming_file(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError as error:
            raise IdentityUnreadable(
                f"cannot use the certificates in {self._file}: {error}; put a copy back, or enrol this machine again"
            ) from error

    def _demand(self) -> Identity:
        identity = self._read()
        if identity is None:
            raise NotEnrolled("cannot make TLS context: this machine is not a node yet")
        return identity

    def _follow(self, context: ssl.SSLContext) -> ssl.SSLContext:
        with self._guard:
            self._contexts.append(context)
        return context

    def _read(self) -> Identity | None:
        with self._guard:
            try:
                stat = self._file.stat()
            except FileNotFoundError:
                return None
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen != self._seen:
                self._known = self._load()
                self._seen = seen
            return self._known

    def _load(self) -> Identity:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError) as error:
            raise IdentityUnreadable(f"cannot read {self._file}: {error}") from error
        if kept.format != _FORMAT:
            raise IdentityUnreadable(f"cannot read {self._file}: its format {kept.format} is not {_FORMAT}")
        replace_file(self._pair, (kept.certificate_pem + kept.key_pem).encode())
        for context in self._contexts:
            context.load_cert_chain(self._pair)
            # A renewal keeps the authority; an enrolment at a controld made anew brings another one.
            context.load_verify_locations(cadata=kept.authority_pem)
        return Identity(
            node_id=kept.node_id,
            name=kept.name,
            control_url=kept.control_url,
            authority_pem=kept.authority_pem,
            certificate_pem=kept.certificate_pem,
            key_pem=kept.key_pem,
            serial=kept.serial,
            not_after_at=kept.not_after_at,
            renew_at=kept.renew_at,
        )


def _make_request(common_name: str) -> tuple[str, str]:
    key_pem = tls.make_key()
    return key_pem, tls.make_signing_request(key_pem, common_name=common_name[:64] or "node")
