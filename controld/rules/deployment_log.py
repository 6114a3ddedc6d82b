"""How the lines of a deployment's log read, and how many are kept."""

from __future__ import annotations

import datetime as dt
from typing import Final

from controld.model.deployment import LogLine

START: Final = "START"
"""Also begins each new run of a build or pull; the output after it is that run's."""
RESTART: Final = "RESTART"
BUILDING: Final = "BUILDING"
REDEPLOY: Final = "REDEPLOY"
PULL: Final = "OCI_PULL"
STARTING: Final = "STARTING"
RUNTIME_START: Final = "RUNTIME_START"
HEALTHCHECK: Final = "HEALTHCHECK"
HEALTHY: Final = "HEALTHY"
ERROR: Final = "ERROR"
AUTOSCALE: Final = "AUTOSCALE"

MAX_OUTPUT_LINES: Final = 20_000
MAX_OUTPUT_BYTES: Final = 8 * 1024 * 1024
MAX_LINE_CHARACTERS: Final = 4096


def render_line(line: LogLine) -> str:
    """`<rfc3339> <PHASE> <message>`, the moment in UTC with milliseconds."""
    return f"{render_moment(line.at)} {line.phase} {line.text}"


def render_moment(at: dt.datetime) -> str:
    """RFC 3339 in UTC with `Z` and milliseconds."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def clean_text(text: str) -> str:
    """The text as one line without NUL or line breaks, cut at 4096 characters."""
    flat = " ".join(text.replace("\0", "\N{REPLACEMENT CHARACTER}").splitlines()) if text else ""
    return flat if len(flat) <= MAX_LINE_CHARACTERS else flat[: MAX_LINE_CHARACTERS - 1] + "…"


def add_last_line(reason: str, lines: tuple[str, ...]) -> str:
    """The reason with the last line of the replica's log that says something."""
    said = [line.strip() for line in lines if line.strip()]
    return f"{reason}; its last line: {clean_text(said[-1])}" if said else reason
