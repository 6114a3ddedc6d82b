"""Services: what should run, kept together with the hostnames that lead there."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TypeVar

from controld.core.audit import Audit
from controld.core.faults import HostnameTaken, PortTaken, ProjectNotFound, ServiceNotFound
from controld.core.image_sources import check_source_registry
from controld.core.memory import Memory
from controld.core.ports import Database, Feed, NodeStore, Transaction
from controld.core.ports_registries import ExternalRegistryStore
from controld.core.ports_services import HostnameStore, ProjectStore, ServiceStore
from controld.model.caller import Caller
from controld.model.hostname import Hostname, HostnameStatus
from controld.model.placement import ANYWHERE, Placement
from controld.model.project import Project
from controld.model.service import Service, ServiceDraft, ServiceEndpoint
from controld.rules.access import allows, check, reach_of
from controld.rules.autoscale import hold_scale
from controld.rules.endpoints import assign_ports, find_clash
from controld.rules.hostnames import is_reserved, make_assigned_hostname, make_hostname
from controld.rules.redaction import redact_env
from controld.rules.validation_service import check_service
from kit.clock import Clock
from kit.faults import Invalid
from kit.ids import Ids

V = TypeVar("V")


class Services:
    """Keeps services; each has a hostname of the platform's from its beginning, and its own wait to be verified.

    `can_issue_certificates` says whether TLS can be had here; `tcp_ports` are those that endpoints may have.
    Reads of one service are answered from memory.
    """

    def __init__(
        self,
        *,
        database: Database,
        services: ServiceStore,
        hostnames: HostnameStore,
        projects: ProjectStore,
        nodes: NodeStore,
        feed: Feed,
        audit: Audit,
        clock: Clock,
        ids: Ids,
        base_domain: str,
        control_domain: str | None,
        can_issue_certificates: bool,
        registries: ExternalRegistryStore,
        allow_private_registries: bool,
        allow_private_git_hosts: bool,
        tcp_ports: range,
    ) -> None:
        self._database = database
        self._services = services
        self._hostnames = hostnames
        self._projects = projects
        self._nodes = nodes
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._base_domain = base_domain
        self._control_domain = control_domain
        self._can_issue_certificates = can_issue_certificates
        self._registries = registries
        self._allow_private_registries = allow_private_registries
        self._allow_private_git_hosts = allow_private_git_hosts
        self._tcp_ports = tcp_ports
        self._memory: Memory[Service] = Memory("service", self._load, feed=feed)

    async def list(self, caller: Caller) -> list[Service]:
        """The services in the caller's projects, by name; env values hidden below operator."""
        async with self._database.read() as tx:
            found = await self._services.list(tx, projects=reach_of(caller))
        return [_shown(service, caller) for service in found]

    async def get(self, caller: Caller, service_id: str) -> Service:
        """One service, env values hidden below operator; raises ServiceNotFound to those without a role."""
        return _shown(await self.admit(caller, service_id, operation="service.read"), caller)

    async def admit(self, caller: Caller, service_id: str, *, operation: str) -> Service:
        """The service as it is, for a caller who may do the operation in its project; raises ServiceNotFound."""
        missing = ServiceNotFound("service not found")
        service = await self._memory.get(service_id)
        if service is None:
            raise missing
        check(caller, operation, project_id=service.project_id, missing=missing)
        return service

    async def put(self, caller: Caller, draft: ServiceDraft) -> Service:
        """Create the service, or update the one with its id, or else with its name in the project.

        The service and the rows of its new hostnames are written together or not at all. Raises HostnameTaken and
        PortTaken.
        """
        missing = ProjectNotFound("cannot save service: no such project")
        check(caller, "service.write", project_id=draft.project_id, missing=missing)
        async with self._database.write() as tx:
            await tx.lock("services")
            project = await self._projects.get(tx, draft.project_id)
            if project is None:
                raise missing
            stored = await self._find_stored(tx, draft)
            return await self._write(tx, caller, draft, stored=stored, project=project)

    async def update(self, caller: Caller, service_id: str, draft: ServiceDraft) -> Service:
        """Replace a service that exists; its project and its name stay. Raises HostnameTaken and PortTaken."""
        missing = ServiceNotFound("service not found")
        async with self._database.write() as tx:
            await tx.lock("services")
            stored = await self._services.get(tx, service_id)
            if stored is None:
                raise missing
            check(caller, "service.write", project_id=stored.project_id, missing=missing)
            if draft.id not in {None, service_id}:
                raise Invalid("cannot save service: the id in the body is not the one in the path")
            _check_identity(draft, stored)
            project = await self._projects.get(tx, stored.project_id)
            assert project is not None
            return await self._write(tx, caller, draft, stored=stored, project=project)

    async def delete(self, caller: Caller, service_id: str) -> None:
        """Remove the service with its deployments, replicas and hostnames; nodes stop what they ran of it."""
        missing = ServiceNotFound("service not found")
        async with self._database.write() as tx:
            await tx.lock("services")
            stored = await self._services.get(tx, service_id)
            if stored is None:
                raise missing
            check(caller, "service.delete", project_id=stored.project_id, missing=missing)
            await self._services.delete(tx, service_id)
            await self._record(tx, caller, "service.delete", service=stored)

    async def _load(self, service_id: str) -> Service | None:
        async with self._database.read() as tx:
            return await self._services.get(tx, service_id)

    async def _find_stored(self, tx: Transaction, draft: ServiceDraft) -> Service | None:
        if draft.id is None:
            return await self._services.find(tx, draft.project_id, name=draft.name)
        stored = await self._services.get(tx, draft.id)
        if stored is None or stored.project_id != draft.project_id:
            raise Invalid("cannot save service: service id does not exist in the project")
        _check_identity(draft, stored)
        return stored

    async def _write(
        self, tx: Transaction, caller: Caller, draft: ServiceDraft, *, stored: Service | None, project: Project
    ) -> Service:
        domains = draft.domains
        if draft.tls_enabled and not domains and stored is not None:
            known = await self._hostnames.list(tx, stored.id)
            domains = tuple(
                each.hostname for each in known if each.status is HostnameStatus.VERIFIED and not each.assigned
            )
        draft = dataclasses.replace(
            draft, domains=tuple(dict.fromkeys(domains)), tls_enabled=draft.tls_enabled and bool(domains)
        )
        check_service(
            draft,
            allow_private_registries=self._allow_private_registries,
            allow_private_git_hosts=self._allow_private_git_hosts,
        )
        if draft.placement is not None:
            await self._check_nodes(tx, draft.placement)
        await check_source_registry(tx, self._registries, draft.source, project_id=draft.project_id)
        if draft.tls_enabled and not self._can_issue_certificates:
            raise Invalid("cannot save service: tls_enabled needs certificates, and no ACME e-mail is set here")
        now = self._clock.now()
        assigned = None
        if stored is None:
            service_id = self._ids.new_id()
            assigned = await self._choose_hostname(tx, draft.name, project=project.name, service_id=service_id)
        else:
            service_id = stored.id
        service = Service(
            id=service_id,
            project_id=draft.project_id,
            name=draft.name,
            domains=draft.domains,
            source=draft.source,
            internal_port=draft.internal_port,
            health_check=draft.health_check,
            resource_limits=draft.resource_limits,
            env=draft.env,
            tls_enabled=draft.tls_enabled,
            autoscale=draft.autoscale,
            endpoints=await self._assign_ports(tx, draft, stored=stored),
            promoted_deployment_id=None if stored is None else stored.promoted_deployment_id,
            assigned_hostname=assigned if stored is None else stored.assigned_hostname,
            created_at=now if stored is None else stored.created_at,
            updated_at=now,
            replicas=_kept(draft.replicas, None if stored is None else stored.replicas, 1),
            placement=_kept(draft.placement, None if stored is None else stored.placement, ANYWHERE),
            scaled_to=None if stored is None else hold_scale(draft.autoscale, stored.scaled_to),
        )
        if stored is None:
            await self._services.add(tx, service)
        else:
            await self._services.update(tx, service)
        if assigned is not None:
            await self._hostnames.add(tx, self._new_hostname(assigned, service.id, now=now, assigned=True))
        await self._claim(tx, service, now=now)
        await self._record(tx, caller, "service.create" if stored is None else "service.update", service=service)
        return service

    async def _assign_ports(
        self, tx: Transaction, draft: ServiceDraft, *, stored: Service | None
    ) -> tuple[ServiceEndpoint, ...]:
        if not draft.endpoints:
            return ()
        taken = await self._services.list_public_ports(tx, besides=None if stored is None else stored.id)
        if (port := find_clash(draft.endpoints, taken)) is not None:
            raise PortTaken(f"cannot save endpoints: port {port} belongs to another service; null gives a free one")
        own = () if stored is None else stored.endpoints
        return assign_ports(draft.endpoints, own, taken=taken, allowed=self._tcp_ports)

    async def _check_nodes(self, tx: Transaction, placement: Placement) -> None:
        if not placement.nodes:
            return
        known = {word for node in await self._nodes.list(tx) for word in (node.id, node.name)}
        for name in placement.nodes:
            if name not in known:
                raise Invalid(f"cannot save placement: no node has the name or id {name!r}")

    async def _claim(self, tx: Transaction, service: Service, *, now: dt.datetime) -> None:
        """Give the service a pending row for each of its hostnames that has none yet."""
        for name in service.domains:
            if is_reserved(name, base_domain=self._base_domain, control_domain=self._control_domain):
                raise HostnameTaken(f"cannot save service: {name} belongs to the platform")
            owner = await self._hostnames.find(tx, name)
            if owner is None:
                await self._hostnames.add(tx, self._new_hostname(name, service.id, now=now, assigned=False))
            elif owner.service_id != service.id:
                raise HostnameTaken(f"cannot save service: {name} belongs to another service")

    async def _choose_hostname(self, tx: Transaction, name: str, *, project: str, service_id: str) -> str:
        plain = make_assigned_hostname(name, project, base_domain=self._base_domain)
        if plain != self._control_domain and await self._hostnames.find(tx, plain) is None:
            return plain
        return make_assigned_hostname(name, project, base_domain=self._base_domain, suffix=service_id[-12:])

    def _new_hostname(self, name: str, service_id: str, *, now: dt.datetime, assigned: bool) -> Hostname:
        return make_hostname(
            name,
            service_id,
            hostname_id=self._ids.new_id(),
            challenge_token=self._ids.new_secret(),
            now=now,
            assigned=assigned,
        )

    async def _record(self, tx: Transaction, caller: Caller, action: str, *, service: Service) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="service",
            object_id=service.id,
            project_id=service.project_id,
            details={"name": service.name},
        )


def _kept(asked: V | None, stored: V | None, default: V) -> V:
    """What was asked for, else what is stored, else the default."""
    return asked if asked is not None else stored if stored is not None else default


def _check_identity(draft: ServiceDraft, stored: Service) -> None:
    if (draft.project_id, draft.name) != (stored.project_id, stored.name):
        raise Invalid("cannot save service: project_id and name of a service never change")


def _shown(service: Service, caller: Caller) -> Service:
    if allows(caller, "env.read", project_id=service.project_id):
        return service
    return dataclasses.replace(service, env=redact_env(service.env))
