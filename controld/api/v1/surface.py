"""The surface `/v1`: what it claims, and the table of its routes, noun by noun."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aiohttp import web

from controld.api.v1 import (
    deployments,
    logs,
    metrics,
    nodes,
    platform,
    projects,
    registry,
    requests,
    services,
    sessions,
    tokens,
    uploads,
    users,
)
from controld.api.v1.auth import BearerAuth
from controld.api.v1.envelope import HEADERS, FaultShape, render_fault
from controld.core.deployments import Deployments
from controld.core.enrolment import Enrolment
from controld.core.logs import Logs
from controld.core.members import Members
from controld.core.metrics import Metrics
from controld.core.nodes import Nodes
from controld.core.platform import Platform
from controld.core.projects import Projects
from controld.core.registry import Registry
from controld.core.registry_upkeep import RegistryUpkeep
from controld.core.requests import Requests
from controld.core.service_actions import ServiceActions
from controld.core.services import Services
from controld.core.sessions import Sessions
from controld.core.tokens import Tokens
from controld.core.uploads import Uploads
from controld.core.users import Users
from kit.clock import Clock
from kit.http.openapi import with_documents
from kit.http.surface import Route, Surface
from wire.version import RELEASE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The core operations that `/v1` asks."""

    platform: Platform
    sessions: Sessions
    users: Users
    tokens: Tokens
    projects: Projects
    members: Members
    services: Services
    nodes: Nodes
    enrolment: Enrolment
    uploads: Uploads
    deployments: Deployments
    actions: ServiceActions
    logs: Logs
    metrics: Metrics
    requests: Requests
    clock: Clock
    registry: Registry
    registry_upkeep: RegistryUpkeep


def make_surface(
    operations: Operations, *, auth: BearerAuth, throttle: Callable[[web.Request], None] | None
) -> Surface:
    """The surface over these operations, with its documents."""
    return with_documents(
        Surface(
            name="v1",
            title="Moorage",
            version=RELEASE,
            claims=("/v1", "/healthz", "/.well-known/denia-challenge"),
            routes=_routes(operations),
            authenticate=auth.authenticate,
            render_fault=render_fault,
            credential_first=True,
            before=throttle,
            response_headers=HEADERS,
            fault_shape=FaultShape,
        )
    )


def _routes(operations: Operations) -> tuple[Route, ...]:
    return (
        *platform.routes(operations.platform),
        *sessions.routes(operations.sessions, operations.users),
        *users.routes(operations.users),
        *tokens.routes(operations.tokens),
        *projects.routes(operations.projects, operations.members),
        *services.routes(operations.services),
        *nodes.routes(operations.nodes, operations.enrolment),
        *uploads.routes(operations.uploads),
        *deployments.routes(operations.deployments, operations.actions, clock=operations.clock),
        *logs.routes(operations.logs, clock=operations.clock),
        *metrics.routes(operations.metrics),
        *requests.routes(operations.requests),
        *registry.routes(operations.registry, operations.registry_upkeep),
    )
