"""Keeps the certificates that HAProxy loads: files that were tried out first, since one bad file stops its start."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.model.ingress import Certificate, IngressState

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n")
_REFUSALS: Final = 1024


class CertificateFiles:
    """A folder of mode 0700 with a file of mode 0600 for each certificate; a name never gets other content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refused: dict[str, str] = {}

    def accept(self, wanted: IngressState) -> tuple[IngressState, tuple[str, ...]]:
        """The state with every certificate written down, and a sentence for each that cannot be used.

        Of a host whose certificate cannot be used, what the proxy has stays. Blocks.
        """
        refused: list[str] = []
        kept: list[Certificate] = []
        for certificate in wanted.certificates:
            why = self._write(certificate) if certificate.pem else None
            if why is not None:
                refused.append(f"cannot serve {certificate.host} by its new certificate: {why}")
            kept.append(certificate if why is None else Certificate(host=certificate.host))
        return replace(wanted, certificates=tuple(kept)), tuple(refused)

    def has(self, name: str) -> bool:
        """Whether the certificate is on disk."""
        return (self._folder / f"{name}.pem").exists()

    def drop_others(self, names: Collection[str]) -> None:
        """Remove every file but those of these certificates. Blocks."""
        for path in self._folder.glob("*.pem"):
            if path.stem not in names:
                path.unlink(missing_ok=True)

    def _write(self, certificate: Certificate) -> str | None:
        """Why the certificate cannot be used, or None once it is on disk."""
        path = self._folder / f"{certificate.name}.pem"
        if path.exists():
            return None
        if certificate.name in self._refused:
            return self._refused[certificate.name]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new.", dir=self._folder)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(normalise_pem(certificate.pem))
                file.flush()
                os.fsync(file.fileno())
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(fresh)
            fresh.replace(path)
        except (ssl.SSLError, ValueError) as error:
            why = _explain(error)
            while len(self._refused) >= _REFUSALS:
                del self._refused[next(iter(self._refused))]
            self._refused[certificate.name] = why
            return why
        finally:
            with contextlib.suppress(FileNotFoundError):
                fresh.unlink()
        return None


def normalise_pem(text: str) -> str:
    """The PEM blocks of a text one behind the other without anything between; raises ValueError when there are none.

    HAProxy takes an empty line as the end of what it is sent.
    """
    lines = (line.strip() for line in text.splitlines())
    plain = "".join(f"{line}\n" for line in lines if line)
    blocks = [match.group(0) for match in _BLOCK.finditer(plain)]
    if not blocks:
        raise ValueError("it is not PEM")
    return "".join(blocks)


def render_crt_list(folder: Path, hosts: Iterable[tuple[str, str]]) -> str:
    """HAProxy's list of certificates, from their names and hosts; each is served to its host alone."""
    return "".join(f"{folder}/{name}.pem {host}\n" for name, host in hosts)


def parse_crt_list(text: str) -> dict[str, str]:
    """The hosts by certificate name, from such a list or from HAProxy's word on it, in order."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0].endswith(".pem"):
            found[Path(words[0]).stem] = words[1]
    return found


def _explain(error: Exception) -> str:
    """Why OpenSSL does not take a file, in words that never quote it."""
    reason = getattr(error, "reason", None)
    if reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
        return "the key is not the certificate's"
    if reason is not None:
        return str(reason).replace("_", " ").lower()
    return str(error) if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError) else "it cannot be read"
