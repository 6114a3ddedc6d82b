"""Documents of named values in the JSON form of SOPS: values under a data key, the data key wrapped for age recipients.

The form is that of https://github.com/getsops/sops, version 3: each value is AES-256-GCM with a nonce of 32 bytes and
the path as additional data, and a SHA-512 over all values, encrypted likewise, shows whether any was changed.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_VERSION: Final = "3.13.3"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 32
_TAG_BYTES: Final = 16
_ENCRYPTED: Final = re.compile(r"ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]")
_ONLY_ENCRYPTED: Final = bytes.fromhex("8a3fd2ad54ce66527b1034f3d147be0b0b975b3bf44f72c6fdadec8176f27d69")
_METADATA: Final = "sops"
_PLAIN_SUFFIX: Final = "_unencrypted"


class DocumentShut(Exception):
    """The document cannot be opened; the message says why and holds nothing of the content."""


class BadAgeKey(ValueError):
    """The text is no age key of the kind X25519; the message does not repeat it."""


def make_identity() -> str:
    """A fresh age identity, `AGE-SECRET-KEY-1…`."""
    from pyrage import x25519

    return str(x25519.Identity.generate())


def find_recipient(identity: str) -> str:
    """The recipient, `age1…`, whose documents the identity opens; raises BadAgeKey."""
    return str(_identity(identity).to_public())


def check_recipient(recipient: str) -> None:
    """Return for an X25519 recipient, `age1…`; raises BadAgeKey."""
    _recipient(recipient)


def seal_document(values: Mapping[str, str], *, recipients: Sequence[str], modified_at: dt.datetime) -> bytes:
    """The document with the values for the recipients; raises ValueError for a name that SOPS keeps for itself."""
    from pyrage import encrypt

    if _METADATA in values:
        raise ValueError(f"a value cannot be named {_METADATA!r}")
    key = os.urandom(_KEY_BYTES)
    stamp = modified_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document: dict[str, Any] = {name: _seal(text.encode(), key, bound_to=f"{name}:") for name, text in values.items()}
    document[_METADATA] = {
        "age": [
            {"recipient": recipient, "enc": encrypt(key, [_recipient(recipient)], armored=True).decode()}
            for recipient in recipients
        ],
        "lastmodified": stamp,
        "mac": _seal(_digest(text.encode() for text in values.values()).encode(), key, bound_to=stamp),
        # Without it SOPS leaves what is named `…_unencrypted` as it is.
        "encrypted_regex": "^",
        "version": _VERSION,
    }
    return json.dumps(document, indent="\t", ensure_ascii=False).encode() + b"\n"


def open_document(data: bytes, *, identities: Sequence[str]) -> dict[str, str]:
    """The values, numbers and truth values as text, whoever wrote the document; raises DocumentShut."""
    try:
        document = json.loads(data)
        metadata = document.pop(_METADATA)
        key = _unwrap(metadata, identities)
        values, hashed = _open_values(document, metadata, key)
        stored = _open(metadata["mac"], key, bound_to=metadata["lastmodified"]).decode()
        start = _ONLY_ENCRYPTED if metadata.get("mac_only_encrypted") else b""
        if stored != _digest(hashed, start=start):
            raise DocumentShut("its values were changed, moved or removed without its key")
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise DocumentShut(f"it is not as SOPS writes it ({type(error).__name__})") from error
    return values


def _unwrap(metadata: Mapping[str, Any], identities: Sequence[str]) -> bytes:
    import pyrage

    keys = [_identity(identity) for identity in identities]
    if "key_groups" in metadata:
        raise DocumentShut("its data key is split between groups of keys")
    for entry in metadata.get("age") or ():
        try:
            key: bytes = pyrage.decrypt(entry["enc"].encode(), keys)
        except pyrage.DecryptError:
            continue
        if len(key) == _KEY_BYTES:
            return key
    raise DocumentShut("none of our age keys is one of those that it was written for")


def _open_values(
    document: Mapping[str, Any], metadata: Mapping[str, Any], key: bytes
) -> tuple[dict[str, str], list[bytes]]:
    values: dict[str, str] = {}
    hashed: list[bytes] = []
    for name, found in document.items():
        if found is None:
            continue
        if isinstance(found, (dict, list)):
            raise DocumentShut(f"{name} is not one value but several")
        encrypted = _is_encrypted(name, metadata)
        if encrypted and not isinstance(found, str):
            raise DocumentShut(f"{name} is not encrypted")
        plain = _open(found, key, bound_to=f"{name}:") if encrypted else _render(found)
        values[name] = plain.decode()
        if encrypted or not metadata.get("mac_only_encrypted"):
            hashed.append(plain)
    return values, hashed


def _is_encrypted(name: str, metadata: Mapping[str, Any]) -> bool:
    """Whether SOPS would encrypt the value of this name: at most one of four rules stands in a document."""
    if (suffix := metadata.get("encrypted_suffix")) is not None:
        return name.endswith(suffix)
    if (pattern := metadata.get("encrypted_regex")) is not None:
        return re.search(pattern, name) is not None
    if (pattern := metadata.get("unencrypted_regex")) is not None:
        return re.search(pattern, name) is None
    return not name.endswith(metadata.get("unencrypted_suffix") or _PLAIN_SUFFIX)


def _render(found: object) -> bytes:
    """A value that is not encrypted, as SOPS hashes it."""
    if isinstance(found, bool):
        return b"True" if found else b"False"
    if isinstance(found, float):
        return f"{found:f}".rstrip("0").rstrip(".").encode()
    return str(found).encode()


def _seal(plain: bytes, key: bytes, *, bound_to: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not plain:
        return ""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain, bound_to.encode())
    data, tag = _text(sealed[:-_TAG_BYTES]), _text(sealed[-_TAG_BYTES:])
    return f"ENC[AES256_GCM,data:{data},iv:{_text(nonce)},tag:{tag},type:str]"


def _open(sealed: str, key: bytes, *, bound_to: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not sealed:
        return b""
    found = _ENCRYPTED.fullmatch(sealed)
    if found is None:
        raise DocumentShut("a value in it is not encrypted")
    try:
        data, nonce, tag = (base64.b64decode(part, validate=True) for part in found.groups()[:3])
        return AESGCM(key).decrypt(nonce, data + tag, bound_to.encode())
    except (InvalidTag, binascii.Error) as error:
        raise DocumentShut("its values were changed, moved or removed without its key") from error


def _digest(parts: Iterable[bytes], *, start: bytes = b"") -> str:
    digest = hashlib.sha512(start)
    for part in parts:
        digest.update(part)
    return digest.hexdigest().upper()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _identity(text: str) -> Any:
    from pyrage import IdentityError, x25519

    try:
        return x25519.Identity.from_str(text)
    except IdentityError as error:
        raise BadAgeKey("it is no age identity of the kind X25519 (AGE-SECRET-KEY-1…)") from error


def _recipient(text: str) -> Any:
    from pyrage import RecipientError, x25519

    try:
        return x25519.Recipient.from_str(text)
    except RecipientError as error:
        raise BadAgeKey("it is no age recipient of the kind X25519 (age1…)") from error
