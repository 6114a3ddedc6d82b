"""Builds and image pulls: work that an agent does under an id, told as a stream of events that can be joined again.

`PUT /builds/{id}/context` streams a tar.zst and answers 204. `POST /builds/{id}` takes `BuildAsked`, starts the build
or joins the one that runs or has ended under this id, and answers NDJSON: one `WorkEvent` a line from the first event
on, the last being `WorkDone` or `WorkFailed`. It answers 409 `context_missing` when the context has to be sent (again);
one that asks for a clone has none to send. What opens a repository is kept for the time of the clone, in memory alone.
`POST /pulls/{id}` takes `PullAsked` and answers likewise. `DELETE /builds/{id}` and `DELETE /pulls/{id}` cancel, drop
what was staged, and answer 204 also for an unknown id.
"""

from __future__ import annotations

import msgspec

from wire.base import Lenient, Strict
from wire.spec import Limits, Origin


class DeployKey(Strict, frozen=True, tag_field="kind", tag="ssh"):
    """A private key in OpenSSH's format, without a passphrase."""

    private_key: str

    def __repr__(self) -> str:
        """Without the key."""
        return "DeployKey(…)"


class HttpsLogin(Strict, frozen=True, tag_field="kind", tag="https"):
    """A user and a password, or a token."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Without the password."""
        return f"HttpsLogin({self.username!r}, …)"


class CloneAsked(Strict, frozen=True):
    """Clone a repository and let a commit of it be the context."""

    repo_url: str
    ref: str
    """A branch, a tag, a full name below `refs/`, a commit in full or in short, or HEAD; a branch goes before a tag."""
    timeout_seconds: float
    credential: DeployKey | HttpsLogin | None = None
    """Absent: anonymously. Submodules get the same; a password goes to the repository's own host alone."""
    known_hosts: str = ""
    """Lines `host type key`: the only hosts that ssh speaks to."""
    authorities_pem: str | None = None
    """Certificates that https trusts besides those of the system."""
    allow_private_hosts: bool = False
    """Whether hosts of inside networks, and plain http, may be cloned from."""


class BuildAsked(Strict, frozen=True):
    """Build an image from the staged context, or from a clone, and push it to the hosted registry unless told."""

    repository: str
    """`<project>/<service>` in the hosted registry."""
    dockerfile_path: str
    context_path: str
    limits: Limits
    timeout_seconds: float
    tag: str
    """The tag that the push leaves beside the digest."""
    clone: CloneAsked | None = None
    """Absent: the context is the one that was staged."""
    push: bool = True
    """Otherwise the image stays on the node, as one that came from no registry."""


class RegistryLogin(Strict, frozen=True):
    """How to sign in to an external registry: by a user and a password, or by a bearer token."""

    username: str = ""
    password: str = ""
    token: str | None = None
    """A bearer token, in place of both."""

    def __repr__(self) -> str:
        return "RegistryLogin(...)"


class PullAsked(Strict, frozen=True):
    """Make an external image present and say its digest."""

    image: str
    timeout_seconds: float
    login: RegistryLogin | None = None
    """Absent: anonymously. It is for this pull alone, and is not kept."""
    keep_as: str | None = None
    """`<project>/<service>:<tag>` in the hosted registry, where the image is pushed so that every node may have it;
    absent: it is run under its own name.
    """


class WorkLine(Lenient, frozen=True, tag_field="t", tag="line"):
    """A line of the work's output."""

    text: str


class WorkDone(Lenient, frozen=True, tag_field="t", tag="done"):
    """The image exists."""

    image: str
    """As `wire.spec.Replica.image` wants it for `origin`."""
    origin: Origin
    digest: str
    """`sha256:…` of the manifest, or of the image's configuration for a local one."""
    size_bytes: int | None = None
    commit: str | None = None
    """What was built from, in full; absent where nothing was cloned."""


class WorkFailed(Lenient, frozen=True, tag_field="t", tag="failed"):
    """The work ended without an image; `code` is stable, `message` a sentence."""

    code: str
    message: str


WorkEvent = WorkLine | WorkDone | WorkFailed

_events: msgspec.json.Decoder[WorkEvent] = msgspec.json.Decoder(WorkEvent)


def decode_event(line: bytes) -> WorkEvent:
    """One NDJSON line; raises msgspec.MsgspecError."""
    return _events.decode(line)
