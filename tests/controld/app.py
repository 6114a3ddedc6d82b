"""A whole `/v1` over a real database for tests, with a clock that stands still and cheap password hashes."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from controld.api.v1.auth import BearerAuth, make_throttle
from controld.api.v1.surface import Operations, make_surface
from controld.core.audit import Audit
from controld.core.audit_trail import AuditTrail
from controld.core.authority import Authority
from controld.core.enrolment import Enrolment
from controld.core.external_registries import ExternalRegistries
from controld.core.git_credentials import GitCredentials
from controld.core.identities import Identities
from controld.core.image_sources import ImageSources
from controld.core.ingress import IngressRoutes
from controld.core.logs import Logs
from controld.core.members import Members
from controld.core.metrics import Metrics
from controld.core.node_directory import NodeDirectory
from controld.core.nodes import Nodes
from controld.core.places import Places
from controld.core.platform import Platform
from controld.core.projects import Projects
from controld.core.refusals import Refusals
from controld.core.reports import Reports
from controld.core.requests import Requests
from controld.core.services import Services
from controld.core.sessions import Sessions
from controld.core.tokens import Tokens
from controld.core.users import Users
from controld.model.caller import SETUP_CALLER, Caller
from controld.model.role import Role
from controld.model.user import User
from controld.parts.consoles import make_consoles
from controld.parts.deploying import make_deploying
from controld.parts.image_cache import make_image_caches
from controld.parts.jobs import make_jobs
from controld.parts.viewing import make_viewing
from controld.settings import Settings
from controld.store.audit import AuditStore
from controld.store.authority_files import AuthorityFiles
from controld.store.blob_files import BlobFiles
from controld.store.credentials import CredentialStore
from controld.store.engine import Database
from controld.store.external_registries import ExternalRegistryStore
from controld.store.facts import FactStore
from controld.store.git_credentials import GitCredentialStore
from controld.store.hostnames import HostnameStore
from controld.store.node_reports import NodeReportStore
from controld.store.node_specs import NodeSpecStore
from controld.store.nodes import JoinTokenStore, NodeStore
from controld.store.passwords import Passwords
from controld.store.projects import MemberStore, ProjectStore
from controld.store.replicas import ReplicaStore
from controld.store.services import ServiceStore
from controld.store.users import UserStore
from kit.clock import SystemClock
from kit.http.surface import Surface
from kit.ids import SystemIds
from tests.controld.domains import DomainWorld
from tests.controld.images import make_registry
from tests.fakes.agents import FakeAgents
from tests.fakes.clock import FakeClock
from tests.fakes.fleet import FakeFleet
from tests.fakes.registry_client import FakeRegistryClient
from tests.fakes.reports import FakeReports
from tests.fakes.secrets import FakeSecrets
from tests.serving import serve

SETUP_SECRET = "s" * 64
PASSWORD = "correct horse battery"


class App:
    """The core over one database, as the daemon builds it."""

    def __init__(
        self,
        database: Database,
        *,
        requests_per_minute: int = 0,
        control_domain: str | None = None,
        can_issue_certificates: bool = False,
        console_ping_seconds: float = 20.0,
    ) -> None:
        clock, ids, feed = FakeClock(), SystemIds(), database.feed
        self.database = database
        self.clock = clock
        self.ids = ids
        self.reports = FakeReports()
        self.passwords = Passwords(memory_kib=8, rounds=1)
        self.audit_store = AuditStore()
        self.credential_store = CredentialStore()
        self.service_store = ServiceStore()
        self.hostname_store = HostnameStore()
        users, members, projects = UserStore(), MemberStore(), ProjectStore()
        audit = Audit(self.audit_store, clock=clock, ids=ids)
        self.refusals = Refusals(audit, database=database, clock=clock)
        self.audit_trail = AuditTrail(
            self.audit_store, database=database, refusals=self.refusals, clock=clock, keep_days=365
        )
        self.identities = Identities(
            database=database,
            credentials=self.credential_store,
            feed=feed,
            clock=clock,
            setup_secret=SETUP_SECRET,
            session_seconds=86_400,
            session_limit_seconds=604_800,
        )
        self.sessions = Sessions(
            database=database,
            users=users,
            credentials=self.credential_store,
            passwords=self.passwords,
            audit=audit,
            refusals=self.refusals,
            clock=clock,
            ids=ids,
            session_seconds=86_400,
            logins_per_minute=5,
        )
        self.users = Users(
            database=database,
            users=users,
            credentials=self.credential_store,
            members=members,
            facts=FactStore(),
            passwords=self.passwords,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        self.tokens = Tokens(
            database=database, credentials=self.credential_store, projects=projects, audit=audit, clock=clock, ids=ids
        )
        self.secrets = FakeSecrets()
        self.projects = Projects(
            database=database,
            projects=projects,
            vault=self.secrets,
            feed=feed,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        self.members = Members(database=database, members=members, projects=projects, users=users, audit=audit)
        self.services = Services(
            database=database,
            services=self.service_store,
            hostnames=self.hostname_store,
            projects=projects,
            nodes=NodeStore(),
            feed=feed,
            audit=audit,
            clock=clock,
            ids=ids,
            base_domain="apps.example",
            control_domain=control_domain,
            can_issue_certificates=can_issue_certificates,
            registries=ExternalRegistryStore(),
            allow_private_registries=False,
            allow_private_git_hosts=False,
            tcp_ports=range(20000, 20100),
        )
        self.git_credentials = GitCredentials(
            database=database,
            credentials=GitCredentialStore(),
            projects=projects,
            vault=self.secrets,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        self.registry_store = ExternalRegistryStore()
        self.external_registries = ExternalRegistries(
            database=database,
            registries=ExternalRegistryStore(),
            projects=projects,
            vault=self.secrets,
            audit=audit,
            clock=clock,
            ids=ids,
            allow_private=False,
        )
        self.fleet = FakeFleet()
        self.hosts = DomainWorld(
            database,
            secrets=self.secrets,
            fleet=self.fleet,
            audit=audit,
            clock=clock,
            ids=ids,
            control_domain=control_domain,
        )
        node_store = NodeStore()
        authority = Authority(
            AuthorityFiles(Path("unused")), database=database, facts=FactStore(), clock=clock, hosts=("127.0.0.1",)
        )
        self.nodes = Nodes(
            database=database,
            store=node_store,
            reports=Reports(database=database, store=NodeReportStore(), feed=feed, clock=clock),
            audit=audit,
            clock=clock,
        )
        self.enrolment = Enrolment(
            authority,
            database=database,
            nodes=node_store,
            tokens=JoinTokenStore(),
            audit=audit,
            clock=clock,
            ids=ids,
            url="https://127.0.0.1:7181",
            token_seconds=900,
        )
        self.agents = FakeAgents()
        settings = Settings(
            data_dir=Path(database.url.partition("///")[2]).parent,
            console_transcripts=True,
            console_origins=("https://panel.example",),
        )
        self.registry_client = FakeRegistryClient()
        self.deploying = make_deploying(
            settings,
            database=database,
            feed=feed,
            nodes=node_store,
            agents=self.agents,
            fleet=self.fleet,
            images=ImageSources(
                database=database,
                registries=ExternalRegistryStore(),
                vault=self.secrets,
                client=self.registry_client,
            ),
            audit=audit,
            clock=clock,
            ids=ids,
            secrets=self.secrets,
        )
        self.jobs = make_jobs(
            settings,
            database=database,
            feed=feed,
            nodes=node_store,
            agents=self.agents,
            fleet=self.fleet,
            files=self.deploying.files,
            images=self.deploying.images,
            audit=audit,
            clock=clock,
            ids=ids,
            secrets=self.secrets,
        )
        directory = NodeDirectory(database=database, store=node_store, feed=feed)
        self.viewing = make_viewing(
            database,
            self.deploying,
            nodes=self.nodes,
            reports=self.reports,
            fleet=self.fleet,
            directory=directory,
            agents=self.agents,
        )
        self.places = Places(database=database, replicas=ReplicaStore(), directory=directory)
        self.logs = Logs(
            services=self.services, places=self.places, agents=self.agents, feed=feed, clock=SystemClock(), streams=3
        )
        self.metrics = Metrics(services=self.services, nodes=self.nodes, places=self.places, agents=self.agents)
        self.requests = Requests(services=self.services, places=self.places, agents=self.agents)
        self.console_parts = make_consoles(
            settings,
            database=database,
            agents=self.agents,
            directory=NodeDirectory(database=database, store=node_store, feed=feed),
            reports=self.reports,
            identities=self.identities,
            services=self.services,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        self.blob_files = BlobFiles(Path(database.url.partition("///")[2]).parent / "registry")
        self.registry, self.registry_upkeep = make_registry(
            database, files=self.blob_files, audit=audit, clock=clock, ids=ids
        )
        self.surface: Surface = make_surface(
            Operations(
                platform=Platform(reports=self.reports, control_domain=control_domain),
                sessions=self.sessions,
                audit_trail=self.audit_trail,
                users=self.users,
                tokens=self.tokens,
                projects=self.projects,
                members=self.members,
                services=self.services,
                domains=self.hosts.domains,
                certificates=self.hosts.certificates,
                ingress=IngressRoutes(database=database, store=NodeSpecStore()),
                git_credentials=self.git_credentials,
                external_registries=self.external_registries,
                nodes=self.nodes,
                node_views=self.viewing.node_views,
                workloads=self.viewing.workloads,
                enrolment=self.enrolment,
                uploads=self.deploying.uploads,
                deployments=self.deploying.deployments,
                actions=self.deploying.actions,
                jobs=self.jobs.jobs,
                job_runs=self.jobs.runs,
                logs=self.logs,
                metrics=self.metrics,
                requests=self.requests,
                consoles=self.console_parts.consoles,
                console_connections=self.console_parts.connections,
                console_ping_seconds=console_ping_seconds,
                clock=SystemClock(),
                registry=self.registry,
                registry_upkeep=self.registry_upkeep,
                image_caches=make_image_caches(
                    settings, database=database, nodes=node_store, agents=self.agents, audit=audit, clock=clock
                ),
            ),
            auth=BearerAuth(self.identities),
            throttle=make_throttle(requests_per_minute, clock=clock),
            watch_callers=self.identities.watch_changes,
            note_forbidden=self.refusals.note_forbidden,
        )

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[ClientSession]:
        """A session whose paths are those of a server over the surface."""
        async with serve(self.surface) as session:
            yield session

    async def add_user(self, username: str, *, super_admin: bool = False) -> User:
        """A user with `PASSWORD`."""
        return await self.users.create(SETUP_CALLER, username=username, password=PASSWORD, is_super_admin=super_admin)

    async def add_project(self, name: str = "shop") -> str:
        """The id of a new project."""
        project = await self.projects.create(
            SETUP_CALLER, name=name, description=None, shared_env=(("K", "secret"),), default_resource_limits=None
        )
        return project.id

    async def token_of(self, username: str, *, project_id: str | None = None, role: Role | None = None) -> str:
        """A fresh API token for a user, made where it is missing, with this role in the project."""
        async with self.database.read() as tx:
            found = await UserStore().find_login(tx, username)
        user = found[0] if found is not None else await self.add_user(username)
        if project_id is not None and role is not None:
            await self.members.put(SETUP_CALLER, project_id, user_id=user.id, role=role)
        caller = dataclasses.replace(
            SETUP_CALLER, user_id=user.id, username=username, is_super_admin=user.is_super_admin
        )
        return (await self.tokens.create(caller, name="test")).secret

    async def caller(self, username: str, *, project_id: str | None = None, role: Role | None = None) -> Caller:
        """The caller behind such a token."""
        token = await self.token_of(username, project_id=project_id, role=role)
        caller = await self.identities.recognise(token, address="192.0.2.1")
        assert caller is not None
        return caller


def bearer(token: str) -> dict[str, str]:
    """The header that presents a token."""
    return {"Authorization": f"Bearer {token}"}


async def ask(
    http: ClientSession, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """The status and the decoded body of one JSON ask."""
    async with http.request(method, path, json=body, headers=headers) as answer:
        return answer.status, await answer.json() if await answer.read() else None


def service_body(project_id: str, **changes: Any) -> dict[str, Any]:
    """A service as a client sends it."""
    return {
        "project_id": project_id,
        "name": "web",
        "domains": [],
        "source": {"type": "upload"},
        "internal_port": 8080,
        "health_check": {"path": "/", "timeout_seconds": 5},
        **changes,
    }
