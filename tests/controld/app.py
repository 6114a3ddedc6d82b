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
from controld.core.authority import Authority
from controld.core.enrolment import Enrolment
from controld.core.identities import Identities
from controld.core.logs import Logs
from controld.core.members import Members
from controld.core.metrics import Metrics
from controld.core.node_directory import NodeDirectory
from controld.core.nodes import Nodes
from controld.core.places import Places
from controld.core.platform import Platform
from controld.core.projects import Projects
from controld.core.registry import Registry
from controld.core.registry_access import RegistryAccess
from controld.core.registry_upkeep import RegistryUpkeep
from controld.core.reports import Reports
from controld.core.requests import Requests
from controld.core.services import Services
from controld.core.sessions import Sessions
from controld.core.tokens import Tokens
from controld.core.users import Users
from controld.model.caller import SETUP_CALLER, Caller
from controld.model.role import Role
from controld.model.user import User
from controld.parts.deploying import make_deploying
from controld.settings import Settings
from controld.store.audit import AuditStore
from controld.store.authority_files import AuthorityFiles
from controld.store.blob_files import BlobFiles
from controld.store.credentials import CredentialStore
from controld.store.engine import Database
from controld.store.facts import FactStore
from controld.store.node_reports import NodeReportStore
from controld.store.nodes import JoinTokenStore, NodeStore
from controld.store.passwords import Passwords
from controld.store.projects import MemberStore, ProjectStore
from controld.store.registry import RegistryStore
from controld.store.replicas import ReplicaStore
from controld.store.services import HostnameStore, ServiceStore
from controld.store.users import UserStore
from kit.clock import SystemClock
from kit.http.surface import Surface
from kit.ids import SystemIds
from tests.fakes.agents import FakeAgents
from tests.fakes.clock import FakeClock
from tests.fakes.fleet import FakeFleet
from tests.fakes.reports import FakeReports
from tests.serving import serve

SETUP_SECRET = "s" * 64
PASSWORD = "correct horse battery"


class App:
    """The core over one database, as the daemon builds it."""

    def __init__(self, database: Database, *, requests_per_minute: int = 0, control_domain: str | None = None) -> None:
        clock, ids, feed = FakeClock(), SystemIds(), database.feed
        self.database = database
        self.clock = clock
        self.reports = FakeReports()
        self.passwords = Passwords(memory_kib=8, rounds=1)
        self.audit_store = AuditStore()
        self.credential_store = CredentialStore()
        self.service_store = ServiceStore()
        self.hostname_store = HostnameStore()
        users, members, projects = UserStore(), MemberStore(), ProjectStore()
        audit = Audit(self.audit_store, clock=clock, ids=ids)
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
            clock=clock,
            ids=ids,
            session_seconds=86_400,
            logins_per_minute=5,
        )
        self.users = Users(
            database=database,
            users=users,
            facts=FactStore(),
            passwords=self.passwords,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        self.tokens = Tokens(
            database=database, credentials=self.credential_store, projects=projects, audit=audit, clock=clock, ids=ids
        )
        self.projects = Projects(database=database, projects=projects, feed=feed, audit=audit, clock=clock, ids=ids)
        self.members = Members(database=database, members=members, projects=projects, users=users, audit=audit)
        self.services = Services(
            database=database,
            services=self.service_store,
            hostnames=self.hostname_store,
            projects=projects,
            feed=feed,
            audit=audit,
            clock=clock,
            ids=ids,
            base_domain="apps.example",
            control_domain=control_domain,
            can_issue_certificates=False,
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
        self.fleet = FakeFleet()
        self.deploying = make_deploying(
            Settings(data_dir=Path(database.url.partition("///")[2]).parent),
            database=database,
            feed=feed,
            nodes=node_store,
            agents=self.agents,
            fleet=self.fleet,
            audit=audit,
            clock=clock,
            ids=ids,
        )
        self.places = Places(
            database=database,
            replicas=ReplicaStore(),
            directory=NodeDirectory(database=database, store=node_store, feed=feed),
        )
        self.logs = Logs(
            services=self.services, places=self.places, agents=self.agents, feed=feed, clock=SystemClock(), streams=3
        )
        self.metrics = Metrics(services=self.services, places=self.places, agents=self.agents)
        self.requests = Requests(services=self.services, places=self.places, agents=self.agents)
        self.blob_files = BlobFiles(Path(database.url.partition("///")[2]).parent / "registry")
        registry_store = RegistryStore()
        self.registry = Registry(
            database,
            registry_store,
            access=RegistryAccess(registry_store),
            files=self.blob_files,
            audit=audit,
            clock=clock,
            ids=ids,
            grace_seconds=3600,
        )
        self.registry_upkeep = RegistryUpkeep(
            database,
            registry_store,
            files=self.blob_files,
            audit=audit,
            clock=clock,
            grace_seconds=3600,
            expiry_seconds=86_400,
        )
        self.surface: Surface = make_surface(
            Operations(
                platform=Platform(reports=self.reports, control_domain=control_domain),
                sessions=self.sessions,
                users=self.users,
                tokens=self.tokens,
                projects=self.projects,
                members=self.members,
                services=self.services,
                nodes=self.nodes,
                enrolment=self.enrolment,
                uploads=self.deploying.uploads,
                deployments=self.deploying.deployments,
                actions=self.deploying.actions,
                logs=self.logs,
                metrics=self.metrics,
                requests=self.requests,
                clock=SystemClock(),
                registry=self.registry,
                registry_upkeep=self.registry_upkeep,
            ),
            auth=BearerAuth(self.identities),
            throttle=make_throttle(requests_per_minute, clock=clock),
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
