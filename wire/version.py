"""The version of the contract between controld and agent, and its dated history."""

from __future__ import annotations

from typing import Final

HISTORY: Final[tuple[tuple[int, str, str], ...]] = (
    (
        1,
        "2026-11-22",
        "Link with heartbeats and node specs; builds, image pulls, logs, metrics, requests, registry relay.",
    ),
    (
        2,
        "2026-11-22",
        (
            "Runs of jobs, certificates, the control domain in the spec; runs in the heartbeat and logs; clones, "
            "and builds that stay; "
            "consoles, with a terminal or without; "
            "pulls by bearer token or kept in the hosted registry; private registries allowed by the spec; "
            "routes to replicas of other nodes, and the port that takes what those hand over; "
            "readings of all replicas; TCP ports of routes, and those between nodes; "
            "the parts of CPU and memory, IO by device and pressure; what was used lately; "
            "logs asked for by moment, replica and text, and as events; "
            "routes that are asleep, wakes, and how long services were idle."
        ),
    ),
)
VERSION: Final[int] = HISTORY[-1][0]

RELEASE: Final[str] = "0.1.0"
"""The release of all our programs, which each tells its peers."""
