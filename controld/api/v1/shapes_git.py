"""The JSON of git credentials, and what it says of our records."""

from __future__ import annotations

import datetime as dt

from controld.core.git_credentials import GitCredentialDraft
from controld.model.git_credential import GitCredential, GitCredentialKind
from wire.base import Lenient

_DEFAULT_NAME = "default"


class GitCredentialAsked(Lenient, frozen=True, repr_omit_defaults=True):
    """A deploy key or a sign-in for https; with neither, an Ed25519 key is made here."""

    name: str | None = None
    """Absent: `default`."""
    private_key: str | None = None
    """PEM or OpenSSH, without a passphrase, at most 16 KiB; it is never told again."""
    username: str | None = None
    """For https, with `password`."""
    password: str | None = None
    """A password or a token; it is never told again."""
    known_hosts: str | None = None
    """Lines `host type key` that this deploy key trusts besides the hosts that the platform knows."""


class GitCredentialQuery(Lenient, frozen=True):
    """Which credential is meant."""

    name: str = _DEFAULT_NAME


class GitCredentialShape(Lenient, frozen=True):
    """A git credential by its public half."""

    id: str
    project_id: str
    name: str
    kind: GitCredentialKind
    public_key: str | None
    fingerprint_sha256: str | None
    username: str | None
    known_hosts: str | None
    created_at: dt.datetime


class CredentialAsked(Lenient, frozen=True):
    """The name that a kept deploy key is to have."""

    name: str
    kind: str
    """`SshDeployKey`; another is refused."""
    secret_ref: str


class CredentialShape(Lenient, frozen=True):
    """A credential of some project; `secret_ref` names its document among the platform's secrets."""

    id: str
    project_id: str
    name: str
    kind: GitCredentialKind
    secret_ref: str


def read_git_credential(asked: GitCredentialAsked) -> GitCredentialDraft:
    """The credential as the core has it."""
    return GitCredentialDraft(
        name=_DEFAULT_NAME if asked.name is None else asked.name,
        private_key=asked.private_key,
        username=asked.username,
        password=asked.password,
        known_hosts=asked.known_hosts,
    )


def render_git_credential(credential: GitCredential) -> GitCredentialShape:
    """A credential in its project."""
    return GitCredentialShape(
        id=credential.id,
        project_id=credential.project_id,
        name=credential.name,
        kind=credential.kind,
        public_key=credential.public_key,
        fingerprint_sha256=credential.fingerprint,
        username=credential.username,
        known_hosts=credential.known_hosts,
        created_at=credential.created_at,
    )


def render_credential(credential: GitCredential) -> CredentialShape:
    """A credential among those of every project."""
    return CredentialShape(
        id=credential.id,
        project_id=credential.project_id,
        name=credential.name,
        kind=credential.kind,
        secret_ref=credential.secret_ref,
    )
