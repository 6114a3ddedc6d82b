"""Enrolment: how a machine becomes a node, and how a node renews its certificate.

`GET /authority` answers the authority's certificate in PEM to anyone: the agent compares its SHA-256 with the
fingerprint in the join token before it sends anything. `POST /enrolments` takes `EnrolmentAsked` and answers
`Enrolled`. `POST /renewals` takes `RenewalAsked` under the node's certificate and answers `Renewed`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from wire.base import Lenient

AUTHORITY_PATH: Final = "/authority"
ENROLMENTS_PATH: Final = "/enrolments"
RENEWALS_PATH: Final = "/renewals"

_PREFIX: Final = "moorage-join-"


class JoinToken(Lenient, frozen=True):
    """What a join token says: where to enrol, whom to trust, and the single-use secret."""

    url: str
    """controld's node side, `https://host:port`."""
    fingerprint: str
    """Lowercase hex SHA-256 of the authority's certificate in DER."""
    secret: str


class EnrolmentAsked(Lenient, frozen=True):
    """A machine asks to become a node."""

    secret: str
    csr_pem: str
    name: str
    """What the machine calls itself; controld makes it unique."""
    port: int
    """Where its agent listens."""
    address: str | None = None
    """Where controld can dial it; absent: the address the ask came from."""


class Enrolled(Lenient, frozen=True):
    """The machine is a node."""

    node_id: str
    name: str
    certificate_pem: str
    authority_pem: str


class RenewalAsked(Lenient, frozen=True):
    """A node asks for a fresh certificate for a key it has made."""

    csr_pem: str


class Renewed(Lenient, frozen=True):
    """The fresh certificate."""

    certificate_pem: str
    authority_pem: str


def encode_join_token(token: JoinToken) -> str:
    """The token as one word that can be pasted."""
    return _PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def decode_join_token(word: str) -> JoinToken:
    """What the word says; raises ValueError when it is not a join token."""
    word = word.strip()
    if not word.startswith(_PREFIX):
        raise ValueError(f"not a join token: it starts with {_PREFIX!r}")
    body = word.removeprefix(_PREFIX)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=JoinToken)
    except (binascii.Error, msgspec.MsgspecError) as error:
        raise ValueError("not a join token: it is cut short or changed") from error
