"""SSH keys: made, read and told by their public half.

`cryptography` is imported where it is used, so that who reads no key never loads it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any, Final

from kit.faults import Invalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_LIMIT_BYTES: Final = 16 * 1024
_LEAST_RSA_BITS: Final = 2048
_KEY_TYPES: Final = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")


class KeyRefused(Invalid):
    """The text is no private key that can be used here; the message never repeats it."""

    code = "key_refused"


class KnownHostsRefused(Invalid):
    """The text is no list of known hosts."""

    code = "known_hosts_refused"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SshKey:
    """A key pair: `private_key` in OpenSSH's own format without a passphrase, `public_key` as a server wants it."""

    private_key: str
    public_key: str
    fingerprint: str
    """`SHA256:` and unpadded base64, as `ssh-keygen -l` tells it."""


def make_key() -> SshKey:
    """A fresh Ed25519 key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return _render(Ed25519PrivateKey.generate())


def parse_key(text: str) -> SshKey:
    """The key that a PEM or OpenSSH private key is; raises KeyRefused, also for one behind a passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    data = text.encode()
    if len(data) > _LIMIT_BYTES:
        raise KeyRefused(f"cannot take this private key: it is larger than {_LIMIT_BYTES} bytes")
    data = data.strip() + b"\n"
    load: Any = (
        serialization.load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else serialization.load_pem_private_key
    )
    try:
        return _render(load(data, password=None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower() or "passphrase" in str(error).lower() or b"ENCRYPTED" in data:
            raise KeyRefused("cannot take this private key: it is protected by a passphrase") from None
        raise KeyRefused("cannot take this private key: it is neither PEM nor OpenSSH's format") from None


def check_known_hosts(text: str) -> None:
    """Return when each line is `host[,host…] type key`, as ssh-keyscan tells it; raises KnownHostsRefused."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split()
        if len(parts) < 3 or line.startswith("@") or not parts[1].startswith(_KEY_TYPES):
            raise KnownHostsRefused(f"cannot take these known hosts: line {number} is not `host type key`")
        try:
            blob = base64.b64decode(parts[2], validate=True)
        except binascii.Error:
            blob = b""
        if blob[4 : 4 + len(parts[1])] != parts[1].encode():
            raise KnownHostsRefused(f"cannot take these known hosts: the key in line {number} is not of its type")


def _render(key: PrivateKeyTypes) -> SshKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

    if isinstance(key, dsa.DSAPrivateKey) or not isinstance(
        key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ):
        raise KeyRefused("cannot take this private key: use Ed25519, ECDSA or RSA")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        raise KeyRefused(f"cannot take this private key: an RSA key needs {_LEAST_RSA_BITS} bits at least")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return SshKey(
        private_key=private.decode(),
        public_key=public,
        fingerprint="SHA256:" + base64.b64encode(digest).decode().rstrip("="),
    )
