"""The version of the contract between controld and agent, and its dated history."""

from __future__ import annotations

from typing import Final

HISTORY: Final[tuple[tuple[int, str, str], ...]] = (
    (
        1,
        "2026-11-22",
        "Link with heartbeats and node specs; builds, image pulls, logs, metrics, requests, registry relay.",
    ),
)
VERSION: Final[int] = HISTORY[-1][0]

RELEASE: Final[str] = "0.1.0"
"""The release of all our programs, which each tells its peers."""
