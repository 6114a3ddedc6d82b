"""The surface `/v1`: what it claims, and the table of its routes, noun by noun."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aiohttp import web

from controld.api.v1 import (
    audit,
    certificates,
    consoles,
    deployments,
    domains,
    external_registries,
    git_credentials,
    image_cache,
    ingress,
    jobs,
    log_export,
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
    workloads,
)
from controld.api.v1.auth import BearerAuth
from controld.api.v1.envelope import HEADERS, FaultShape, render_fault
from controld.core.audit_trail import AuditTrail
from controld.core.certificates import Certificates
from controld.core.console_connections import ConsoleConnections
from controld.core.consoles import Consoles
from controld.core.deployments import Deployments
from controld.core.domains import Domains
from controld.core.enrolment import Enrolment
from controld.core.external_registries import ExternalRegistries
from controld.core.faults import StoreBusy, StoreUnavailable, TooManyRequests
from controld.core.git_credentials import GitCredentials
from controld.core.image_cache import ImageCaches
from controld.core.ingress import IngressRoutes
from controld.core.job_runs import JobRuns
from controld.core.jobs import Jobs
from controld.core.logs import Logs
from controld.core.members import Members
from controld.core.metrics import Metrics
from controld.core.node_views import NodeViews
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
from controld.core.workloads import Workloads
from controld.model.caller import Caller
from kit.clock import Clock
from kit.faults import Fault, Unauthenticated
from kit.http.openapi import with_documents
from kit.http.surface import CallersWatch, Route, Surface, ToldFaults
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
    domains: Domains
    certificates: Certificates
    ingress: IngressRoutes
    git_credentials: GitCredentials
    external_registries: ExternalRegistries
    nodes: Nodes
    node_views: NodeViews
    workloads: Workloads
    enrolment: Enrolment
    uploads: Uploads
    deployments: Deployments
    actions: ServiceActions
    jobs: Jobs
    job_runs: JobRuns
    logs: Logs
    metrics: Metrics
    requests: Requests
    consoles: Consoles
    console_connections: ConsoleConnections
    console_ping_seconds: float
    clock: Clock
    audit_trail: AuditTrail
    registry: Registry
    registry_upkeep: RegistryUpkeep
    image_caches: ImageCaches


def make_surface(
    operations: Operations,
    *,
    auth: BearerAuth,
    throttle: Callable[[web.Request], None] | None,
    watch_callers: Callable[[], CallersWatch],
    note_forbidden: Callable[[Caller, str, Fault], None],
) -> Surface:
    """The surface over these operations, with its documents."""
    return with_documents(
        Surface(
            name="v1",
            title="Moorage",
            version=RELEASE,
            claims=("/v1", "/healthz", "/.well-known/denia-challenge", "/.well-known/acme-challenge"),
            routes=_routes(operations),
            authenticate=auth.authenticate,
            render_fault=render_fault,
            credential_first=True,
            before=throttle,
            response_headers=HEADERS,
            told_faults=ToldFaults(
                shape=FaultShape,
                bodiless=(Unauthenticated,),
                before=(TooManyRequests,),
                anywhere=(StoreBusy, StoreUnavailable),
            ),
            watch_callers=watch_callers,
            note_forbidden=note_forbidden,
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
        *domains.routes(operations.domains),
        *certificates.routes(operations.certificates),
        *ingress.routes(operations.ingress),
        *git_credentials.routes(operations.git_credentials),
        *external_registries.routes(operations.external_registries),
        *nodes.routes(operations.nodes, operations.node_views, operations.enrolment),
        *workloads.routes(operations.workloads),
        *uploads.routes(operations.uploads),
        *deployments.routes(operations.deployments, operations.actions, clock=operations.clock),
        *jobs.routes(operations.jobs, operations.job_runs, clock=operations.clock),
        *logs.routes(operations.logs, clock=operations.clock),
        *log_export.routes(operations.logs, clock=operations.clock),
        *metrics.routes(operations.metrics, operations.clock),
        *requests.routes(operations.requests),
        *audit.routes(operations.audit_trail, operations.clock),
        *consoles.routes(
            operations.consoles,
            operations.console_connections,
            clock=operations.clock,
            ping_seconds=operations.console_ping_seconds,
        ),
        *registry.routes(operations.registry, operations.registry_upkeep),
        *image_cache.routes(operations.image_caches),
    )
