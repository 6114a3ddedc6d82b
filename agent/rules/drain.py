"""Decides how far a replica that has to go may be taken out: serve on, drain, leave the ingress, stop."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from agent.model.ingress import ServerObserved, ServerState

POLL_SECONDS: Final = 0.5
"""The pace at which open sessions are looked at while something drains."""
ORPHAN_DRAIN_SECONDS: Final = 10.0
"""How long a container that the spec does not know may finish its open requests."""
ORPHAN_GRACE_SECONDS: Final = 10
"""From SIGTERM to SIGKILL for a container that the spec does not know."""


HAND_OVER_SECONDS: Final = 5.0
"""So long other nodes may take to hear that a replica is to go."""


class Phase(enum.Enum):
    """Where a replica that has to go stands."""

    SERVE = "serve"
    """It keeps its traffic for now: nobody else could take it."""
    HAND_OVER = "hand over"
    """It gets nothing new from here, and still what other nodes send that have yet to hear of it."""
    DRAIN = "drain"
    """It gets nothing new, and what is open goes on."""
    LEAVE = "leave"
    """Nothing is open: its server goes."""
    STOP = "stop"
    """No server leads to it any more, or its time is over: its container goes."""


def decide_phase(
    servers: Sequence[ServerObserved] | None,
    *,
    running: bool,
    spent_seconds: float,
    drain_seconds: float,
    sessions: int,
    last: bool,
    handed_over: bool = True,
) -> Phase:
    """The phase of a replica whose `servers` the proxy shows (None: it does not answer).

    `sessions` are open with it, those of proxy processes that finish after a reload included; they count only once the
    proxy shows the drain: before that a new one may come at any moment. `last` says that nobody else could serve its
    route, `handed_over` that no other node sends requests any more.
    """
    if not running or spent_seconds >= drain_seconds:
        return Phase.STOP
    if servers is None:
        return Phase.DRAIN
    if sessions == 0 and all(server.state is ServerState.MAINT for server in servers):
        return Phase.STOP
    if servers and last:
        return Phase.SERVE
    if servers and not handed_over:
        return Phase.HAND_OVER
    if sessions == 0 and all(server.state is not ServerState.READY for server in servers):
        return Phase.LEAVE
    return Phase.DRAIN
