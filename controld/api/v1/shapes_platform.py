"""The JSON of health and of a host's numbers, and what it says of our records."""

from __future__ import annotations

import datetime as dt

from controld.model.spec_rows import IngressRoute
from wire.base import Lenient
from wire.link import HostReport


class CpuShape(Lenient, frozen=True):
    """CPU time since the host started, in jiffies."""

    user_jiffies: int
    nice_jiffies: int
    system_jiffies: int
    idle_jiffies: int
    iowait_jiffies: int


class NodeSnapshotShape(Lenient, frozen=True):
    """Numbers of a host."""

    cpu: CpuShape
    memory_total_bytes: int
    memory_available_bytes: int
    load_1m: float
    load_5m: float
    load_15m: float
    disk_total_bytes: int
    disk_available_bytes: int
    recorded_at: dt.datetime


class PlatformShape(Lenient, frozen=True):
    """The platform's own domain, and numbers of the host for those who may see them; null where there are none."""

    control_domain: str | None
    cpu: CpuShape | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    load_1m: float | None = None
    load_5m: float | None = None
    load_15m: float | None = None
    disk_total_bytes: int | None = None
    disk_available_bytes: int | None = None
    recorded_at: dt.datetime | None = None


def render_snapshot(report: HostReport) -> NodeSnapshotShape:
    """Numbers of a host."""
    return NodeSnapshotShape(
        cpu=CpuShape(
            user_jiffies=report.cpu_user_jiffies,
            nice_jiffies=report.cpu_nice_jiffies,
            system_jiffies=report.cpu_system_jiffies,
            idle_jiffies=report.cpu_idle_jiffies,
            iowait_jiffies=report.cpu_iowait_jiffies,
        ),
        memory_total_bytes=report.memory_total_bytes,
        memory_available_bytes=report.memory_available_bytes,
        load_1m=report.load_1m,
        load_5m=report.load_5m,
        load_15m=report.load_15m,
        disk_total_bytes=report.disk_total_bytes,
        disk_available_bytes=report.disk_available_bytes,
        recorded_at=report.recorded_at,
    )


def render_node(control_domain: str | None, report: HostReport | None) -> PlatformShape:
    """The platform's own domain, with the numbers of a host where there are some."""
    if report is None:
        return PlatformShape(control_domain=control_domain)
    snapshot = render_snapshot(report)
    return PlatformShape(
        control_domain=control_domain,
        **{name: getattr(snapshot, name) for name in NodeSnapshotShape.__struct_fields__},
    )


class IngressRouteShape(Lenient, frozen=True):
    """A service that the ingress leads to, and on which nodes."""

    route_key: str
    service_name: str
    domains: tuple[str, ...]
    tls: bool
    node_ids: tuple[str, ...]


def render_route(route: IngressRoute) -> IngressRouteShape:
    """A route."""
    return IngressRouteShape(
        route_key=f"svc-{route.service_id}",
        service_name=route.service,
        domains=route.hosts,
        tls=route.tls,
        node_ids=route.node_ids,
    )
