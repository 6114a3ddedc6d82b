"""The agent's two APIs as values: one for controld over TLS, one for local programs on loopback."""

from __future__ import annotations

from agent.api.auth import authenticate_controld, authenticate_nobody
from agent.api.envelope import Refusal, render_fault
from kit.http.surface import Route, Surface, ToldFaults

_VERSION = "1"


def make_control_surface(*routes: Route) -> Surface:
    """What controld asks of this node."""
    return Surface(
        name="agent",
        title="Moorage agent",
        version=_VERSION,
        claims=("/activity", "/builds", "/images", "/pulls", "/consoles", "/logs", "/metrics", "/node", "/requests"),
        routes=routes,
        authenticate=authenticate_controld,
        render_fault=render_fault,
        told_faults=ToldFaults(shape=Refusal),
        credential_first=True,
    )


def make_loopback_surface(*routes: Route) -> Surface:
    """What ingress, the engine and Prometheus ask on this machine."""
    return Surface(
        name="agent-loopback",
        title="Moorage agent on loopback",
        version=_VERSION,
        claims=("/.well-known", "/metrics", "/v2"),
        routes=routes,
        authenticate=authenticate_nobody,
        render_fault=render_fault,
        told_faults=ToldFaults(shape=Refusal),
    )
