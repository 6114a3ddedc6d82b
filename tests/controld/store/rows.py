"""Records for the store's contract, each with something in every field."""

from __future__ import annotations

import datetime as dt

from controld.model.hostname import Hostname, HostnameStatus
from controld.model.project import Project
from controld.model.service import (
    AutoscalePolicy,
    ExternalImageSource,
    HealthCheck,
    Protocol,
    ResourceLimits,
    Service,
    ServiceEndpoint,
)
from controld.model.user import User

NOW = dt.datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)

USER = User(id="u1", username="ada", is_super_admin=True, created_at=NOW)
PROJECT = Project(
    id="p1",
    name="shop",
    description="Everything that sells",
    shared_env=(("B", "1"), ("A", "ü\n"), ("B", "2")),
    default_resource_limits=ResourceLimits(cpu_millis=2**32 - 1, memory_bytes=2**63 - 1),
    created_at=NOW,
)
SERVICE = Service(
    id="s1",
    project_id="p1",
    name="web",
    domains=("b.example.com", "a.example.com"),
    source=ExternalImageSource(image="nginx:1.27"),
    internal_port=8080,
    health_check=HealthCheck(path="/healthz", timeout_seconds=5),
    resource_limits=ResourceLimits(cpu_millis=1, memory_bytes=2**40),
    env=(("B", "1"), ("A", ""), ("B", "2")),
    tls_enabled=True,
    autoscale=AutoscalePolicy(
        min_replicas=0,
        max_replicas=4,
        target_cpu_pct=70,
        scale_down_cooldown_s=60,
        idle_timeout_s=600,
    ),
    endpoints=(ServiceEndpoint(name="db", protocol=Protocol.TCP, internal_port=5432, public_port=20001),),
    promoted_deployment_id=None,
    assigned_hostname=None,
    created_at=NOW,
    updated_at=NOW,
)
HOSTNAME = Hostname(
    id="h1",
    service_id="s1",
    hostname="web-shop.apps.example",
    status=HostnameStatus.VERIFIED,
    assigned=True,
    challenge_token="c" * 64,
    created_at=NOW,
    verified_at=NOW,
    last_check_at=NOW,
    last_error="none",
)
