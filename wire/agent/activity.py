"""How long the services that a node's ingress leads to were asked for nothing: `GET /activity`."""

from __future__ import annotations

from wire.base import Lenient


class ServiceActivity(Lenient, frozen=True):
    """One service at this node's ingress."""

    service_id: str
    open_requests: int
    """Requests and connections that are open, those that a reload left behind included."""
    idle_seconds: float
    """Since the last request began, or since the proxy started where none has."""


class Activity(Lenient, frozen=True):
    """Every service that the ingress leads to; what is absent gets no request here."""

    services: tuple[ServiceActivity, ...]
