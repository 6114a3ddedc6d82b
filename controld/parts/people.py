"""The parts that know people, and what they may reach: projects with their members, services and git credentials."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack
from typing import Final

from controld.core.audit_trail import AuditTrail
from controld.core.external_registries import ExternalRegistries
from controld.core.git_credentials import GitCredentials
from controld.core.identities import Identities
from controld.core.members import Members
from controld.core.projects import Projects
from controld.core.refusals import Refusals
from controld.core.services import Services
from controld.core.sessions import Sessions
from controld.core.tokens import Tokens
from controld.core.users import Users
from controld.parts.ground import Ground
from controld.rules.endpoints import parse_ports
from controld.store.audit import AuditStore
from controld.store.credentials import CredentialStore
from controld.store.data_dir import read_own_secret
from controld.store.external_registries import ExternalRegistryStore
from controld.store.facts import FactStore
from controld.store.git_credentials import GitCredentialStore
from controld.store.hostnames import HostnameStore
from controld.store.nodes import NodeStore
from controld.store.passwords import Passwords
from controld.store.projects import MemberStore, ProjectStore
from controld.store.services import ServiceStore
from controld.store.users import UserStore

SETUP_SECRET_FILE: Final = "setup-secret"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who may do what, with what."""

    identities: Identities
    sessions: Sessions
    users: Users
    tokens: Tokens
    projects: Projects
    members: Members
    services: Services
    git_credentials: GitCredentials
    refusals: Refusals
    audit_trail: AuditTrail
    external_registries: ExternalRegistries


async def open_people(ground: Ground, *, stack: AsyncExitStack) -> People:
    """The parts, with the setup secret read or made; uses of tokens are written down when the stack closes."""
    settings, database, feed = ground.settings, ground.database, ground.feed
    clock, ids, audit = ground.clock, ground.ids, ground.audit
    credentials, users = CredentialStore(), UserStore()
    projects, members, registries = ProjectStore(), MemberStore(), ExternalRegistryStore()
    passwords = Passwords(threads=settings.password_threads)
    stack.callback(passwords.close)
    setup_secret = settings.setup_secret
    if setup_secret is None:
        file = settings.data_dir / SETUP_SECRET_FILE
        setup_secret = await asyncio.to_thread(read_own_secret, file, ids=ids)
    identities = Identities(
        database=database,
        credentials=credentials,
        feed=feed,
        clock=clock,
        setup_secret=setup_secret,
        session_seconds=settings.session_seconds,
        session_limit_seconds=settings.session_limit_seconds,
    )
    stack.push_async_callback(identities.write_uses)
    refusals = Refusals(audit, database=database, clock=clock)
    stack.push_async_callback(refusals.write)
    return People(
        refusals=refusals,
        audit_trail=AuditTrail(
            AuditStore(), database=database, refusals=refusals, clock=clock, keep_days=settings.audit_days
        ),
        identities=identities,
        sessions=Sessions(
            database=database,
            users=users,
            credentials=credentials,
            passwords=passwords,
            audit=audit,
            refusals=refusals,
            clock=clock,
            ids=ids,
            session_seconds=settings.session_seconds,
            logins_per_minute=settings.logins_per_minute,
        ),
        users=Users(
            database=database,
            users=users,
            credentials=credentials,
            members=members,
            facts=FactStore(),
            passwords=passwords,
            audit=audit,
            clock=clock,
            ids=ids,
        ),
        tokens=Tokens(database=database, credentials=credentials, projects=projects, audit=audit, clock=clock, ids=ids),
        projects=Projects(
            database=database,
            projects=projects,
            vault=ground.secrets,
            feed=feed,
            audit=audit,
            clock=clock,
            ids=ids,
        ),
        members=Members(database=database, members=members, projects=projects, users=users, audit=audit),
        services=Services(
            database=database,
            services=ServiceStore(),
            hostnames=HostnameStore(),
            projects=projects,
            nodes=NodeStore(),
            feed=feed,
            audit=audit,
            clock=clock,
            ids=ids,
            base_domain=settings.base_domain.lower(),
            control_domain=None if settings.control_domain is None else settings.control_domain.lower(),
            can_issue_certificates=settings.acme_email is not None,
            registries=registries,
            allow_private_registries=settings.allow_private_registries,
            allow_private_git_hosts=settings.allow_private_git_hosts,
            tcp_ports=parse_ports(settings.tcp_ports),
        ),
        external_registries=ExternalRegistries(
            database=database,
            registries=registries,
            projects=projects,
            vault=ground.secrets,
            audit=audit,
            clock=clock,
            ids=ids,
            allow_private=settings.allow_private_registries,
        ),
        git_credentials=GitCredentials(
            database=database,
            credentials=GitCredentialStore(),
            projects=projects,
            vault=ground.secrets,
            audit=audit,
            clock=clock,
            ids=ids,
        ),
    )
