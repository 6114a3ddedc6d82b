"""What opens a private repository for a project: a deploy key, or a user and password."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum


class GitCredentialKind(enum.Enum):
    """How it signs in; the words are those of the contract where it has one."""

    SSH = "SshDeployKey"
    HTTPS = "HttpsPassword"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GitCredential:
    """All of a credential that may be seen; what is secret lies in the vault under `secret_ref`."""

    id: str
    project_id: str
    name: str
    kind: GitCredentialKind
    username: str | None
    """Of one for https."""
    public_key: str | None
    """Of a deploy key, as the repository's host wants it."""
    fingerprint: str | None
    """Of a deploy key: `SHA256:` and unpadded base64."""
    known_hosts: str | None
    """Lines that tell host keys for this credential alone, besides those that the platform knows."""
    created_at: dt.datetime

    @property
    def secret_ref(self) -> str:
        """The name of its document in the vault, in the project's scope."""
        return f"git-{self.id}"
