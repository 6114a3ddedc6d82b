"""What a self-check says, and how a row of them is carried out, each within its deadline."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from kit.faults import Fault

DEADLINE_SECONDS: Final = 4.0
"""How long one check may take; all run at once."""


class Verdict(enum.Enum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works, and will not for long or not under load."""
    FAIL = "fail"
    """Something of ours does not work here."""
    UNKNOWN = "unknown"
    """It could not be looked at; the finding says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check, as sentences without a full stop."""

    check: str
    verdict: Verdict
    found: str
    means: str | None = None
    """What follows from it; None for what is fine."""
    mend: str | None = None
    """What to do about it, a command where there is one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to look at; `look` may raise a Fault or an OSError for what cannot be looked at."""

    name: str
    look: Callable[[], Awaitable[Sequence[Finding]]]


def blocking(look: Callable[[], Sequence[Finding]]) -> Callable[[], Awaitable[Sequence[Finding]]]:
    """A look that blocks, as one that runs in a thread."""
    return lambda: asyncio.to_thread(look)


def ok(check: str, found: str) -> Finding:
    """A finding that needs nothing."""
    return Finding(check=check, verdict=Verdict.OK, found=found)


def unknown(check: str, found: str, *, mend: str | None = None) -> Finding:
    """A finding about something that could not be looked at."""
    return Finding(check=check, verdict=Verdict.UNKNOWN, found=found, mend=mend)


async def examine(checks: Iterable[Check], *, deadline_seconds: float) -> list[Finding]:
    """The findings of all checks, in their order; they run at once, and none longer than the deadline."""
    groups = await asyncio.gather(*(_look(check, deadline_seconds) for check in checks))
    return [finding for group in groups for finding in group]


async def _look(check: Check, deadline_seconds: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(deadline_seconds):
            return await check.look()
    except TimeoutError:
        return [unknown(check.name, f"no answer within {deadline_seconds:g} s")]
    except PermissionError as error:
        return [unknown(check.name, f"this user may not read {error.filename or 'it'}", mend="run the doctor as root")]
    except (Fault, OSError, ValueError) as error:
        return [unknown(check.name, f"cannot look: {error}")]
