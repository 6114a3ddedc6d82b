"""How an image reference is asked of its registry: where, by which path, and what its challenge wants."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from kit.addresses import parse_address

MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
"""The kinds of manifest that name an image, for an Accept header."""

_HUB: Final = frozenset({"docker.io", "index.docker.io"})
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER: Final = re.compile(r'([A-Za-z_]+)="([^"]*)"')


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """Where a registry keeps what a reference names."""

    base: str
    """`https://host`, and `http://host` for this machine itself, as engines do."""
    repository: str
    reference: str
    """A tag or a digest."""

    @property
    def url(self) -> str:
        """The address of the manifest."""
        return f"{self.base}/v2/{self.repository}/manifests/{self.reference}"


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry wants of whoever is not signed in."""

    scheme: str
    """`basic` or `bearer`, or a word that is unknown here."""
    parameters: dict[str, str]


def locate_manifest(reference: str) -> Manifest:
    """The manifest of a reference that names its registry."""
    name, _, digest = reference.partition("@")
    host, _, rest = name.partition("/")
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, tag = rest, "latest"
    if host in _HUB:
        host, path = "registry-1.docker.io", path if "/" in path else f"library/{path}"
    return Manifest(f"{'http' if is_this_machine(host) else 'https'}://{host}", path, digest or tag)


def is_this_machine(host: str) -> bool:
    """Whether the host, with or without a port, is this machine by its name or its address."""
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    address = parse_address(bare)
    return bare.lower() == "localhost" or (address is not None and address.is_loopback)


def parse_challenge(header: str) -> Challenge:
    """A `WWW-Authenticate` header."""
    scheme, _, rest = header.strip().partition(" ")
    return Challenge(scheme.lower(), {name.lower(): value for name, value in _PARAMETER.findall(rest)})


def parse_digest(header: str | None) -> str | None:
    """A `Docker-Content-Digest` header; None when it is none that an engine could pull by."""
    return header if header is not None and _DIGEST.fullmatch(header) else None
