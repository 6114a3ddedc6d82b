"""Builds and image pulls: work that an agent does under an id, told as a stream of events that can be joined again.

`PUT /builds/{id}/context` streams a tar.zst and answers 204. `POST /builds/{id}` takes `BuildAsked`, starts the build
or joins the one that runs or has ended under this id, and answers NDJSON: one `WorkEvent` a line from the first event
on, the last being `WorkDone` or `WorkFailed`. It answers 409 `context_missing` when the context has to be sent (again).
`POST /pulls/{id}` takes `PullAsked` and answers likewise. `DELETE /builds/{id}` and `DELETE /pulls/{id}` cancel, drop
what was staged, and answer 204 also for an unknown id.
"""

from __future__ import annotations

import msgspec

from wire.base import Lenient, Strict
from wire.spec import Limits, Origin


class BuildAsked(Strict, frozen=True):
    """Build an image from the staged context and push it to the hosted registry."""

    repository: str
    """`<project>/<service>` in the hosted registry."""
    dockerfile_path: str
    context_path: str
    limits: Limits
    timeout_seconds: float
    tag: str
    """The tag that the push leaves beside the digest."""


class RegistryLogin(Strict, frozen=True):
    """How to sign in to an external registry."""

    username: str
    password: str


class PullAsked(Strict, frozen=True):
    """Make an external image present and say its digest."""

    image: str
    timeout_seconds: float
    login: RegistryLogin | None = None
    """Absent: anonymously."""


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


class WorkFailed(Lenient, frozen=True, tag_field="t", tag="failed"):
    """The work ended without an image; `code` is stable, `message` a sentence."""

    code: str
    message: str


WorkEvent = WorkLine | WorkDone | WorkFailed

_events: msgspec.json.Decoder[WorkEvent] = msgspec.json.Decoder(WorkEvent)


def decode_event(line: bytes) -> WorkEvent:
    """One NDJSON line; raises msgspec.MsgspecError."""
    return _events.decode(line)
