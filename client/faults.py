"""What can fail when the API is asked."""

from __future__ import annotations

from kit.faults import Fault, Kind, Unavailable


class Unreachable(Unavailable):
    """controld does not answer at its address."""

    code = "unreachable"


class Unreadable(Unavailable):
    """What answers is not controld, or of a version that says other things."""

    code = "unreadable"


class Refused(Fault):
    """controld answered with a fault of its own: its status, its code and its sentence."""

    kind = Kind.INVALID
    code = "refused"

    def __init__(self, message: str, *, status: int, remote_code: str) -> None:
        super().__init__(message, details={"status": status, "code": remote_code})
        self.remote_status = status
        self.remote_code = remote_code
