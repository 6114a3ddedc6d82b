"""The one family of failures that people and programs are told about."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Kind(enum.Enum):
    """What went wrong, in the closed set that every surface maps to its own status."""

    INVALID = "invalid"
    MALFORMED = "malformed"
    UNSUPPORTED_MEDIA = "unsupported_media"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    GONE = "gone"
    TOO_LARGE = "too_large"
    RANGE = "range"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


STATUS: Mapping[Kind, int] = {
    Kind.INVALID: 400,
    Kind.MALFORMED: 422,
    Kind.UNSUPPORTED_MEDIA: 415,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.GONE: 410,
    Kind.TOO_LARGE: 413,
    Kind.RANGE: 416,
    Kind.LIMITED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.TIMEOUT: 504,
    Kind.INTERNAL: 500,
}


class Fault(Exception):
    """A failure with a kind for mapping, a stable code for machines and a sentence for people.

    `retry_after_seconds` says when to come again; `details` carries facts a program can use. Subclasses set `kind` and
    `code`; neither the message nor the details ever holds a secret.
    """

    kind: Kind = Kind.INTERNAL
    code: str = "internal"

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, object] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details or {}
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        """The HTTP status this kind maps to."""
        return STATUS[self.kind]


class Invalid(Fault):
    """The ask is well formed and says something that cannot be."""

    kind = Kind.INVALID
    code = "invalid"


class Malformed(Fault):
    """The ask does not have the shape its route names."""

    kind = Kind.MALFORMED
    code = "malformed"


class BadSyntax(Fault):
    """The body is not the format it says it is."""

    kind = Kind.INVALID
    code = "bad_syntax"


class UnsupportedMedia(Fault):
    """The body's Content-Type is not one the route takes."""

    kind = Kind.UNSUPPORTED_MEDIA
    code = "unsupported_media"


class Unauthenticated(Fault):
    """No credential, or one that is not valid now."""

    kind = Kind.UNAUTHENTICATED
    code = "unauthenticated"


class Forbidden(Fault):
    """The caller is known and may not do this."""

    kind = Kind.FORBIDDEN
    code = "forbidden"


class NotFound(Fault):
    """The thing does not exist, or the caller may not know that it does."""

    kind = Kind.NOT_FOUND
    code = "not_found"


class UnknownPath(NotFound):
    """No route claims the path."""

    code = "unknown_path"


class MethodNotAllowed(Fault):
    """The path exists, for other methods; `details["allow"]` lists them."""

    kind = Kind.METHOD_NOT_ALLOWED
    code = "method_not_allowed"


class Conflict(Fault):
    """The ask clashes with what is there."""

    kind = Kind.CONFLICT
    code = "conflict"


class Gone(Fault):
    """The thing existed and has expired."""

    kind = Kind.GONE
    code = "gone"


class TooLarge(Fault):
    """The ask passes a size limit, which the message names."""

    kind = Kind.TOO_LARGE
    code = "too_large"


class RangeNotSatisfiable(Fault):
    """The range asked for does not fit what is there."""

    kind = Kind.RANGE
    code = "range_not_satisfiable"


class Limited(Fault):
    """Too many at once or in too short a time."""

    kind = Kind.LIMITED
    code = "limited"


class Unavailable(Fault):
    """Something that the ask needs cannot be reached now."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"


class TimedOut(Fault):
    """Something that the ask needs did not answer within its deadline."""

    kind = Kind.TIMEOUT
    code = "timed_out"


class Internal(Fault):
    """A bug of ours; its detail is in the log under the request's id."""
