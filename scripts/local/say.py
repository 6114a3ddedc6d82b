"""Progress, told to the person who waits."""

from __future__ import annotations

import sys
import time
from typing import NoReturn

_started = time.monotonic()


def say(words: str) -> None:
    """One line of progress on standard error."""
    print(f"==> [{time.monotonic() - _started:5.1f}s] {words}", file=sys.stderr, flush=True)


def die(words: str) -> NoReturn:
    """Tell why and end with status 1."""
    print(f"error: {words}", file=sys.stderr, flush=True)
    sys.exit(1)
