"""What came of asking a host for the proof that its owner wants it here."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the host answered; where it could not be asked to the end, `problem` says why, and the rest is empty."""

    status: int = 0
    body: bytes = b""
    problem: str | None = None
