"""Projects: what services live in, and what those share."""

from __future__ import annotations

import dataclasses

from controld.core.audit import Audit
from controld.core.faults import InUse, NameTaken, ProjectNotFound
from controld.core.memory import Memory
from controld.core.ports import Database, Feed, Transaction
from controld.core.ports_secrets import SecretVault
from controld.core.ports_services import ProjectStore
from controld.model.caller import Caller
from controld.model.project import Project
from controld.model.service import Env, ResourceLimits
from controld.rules.access import allows, check, reach_of
from controld.rules.redaction import redact_env
from controld.rules.validation import check_env, check_limits, check_title
from kit.clock import Clock
from kit.ids import Ids


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProjectChange:
    """Which fields of a project to replace, by name, and by what."""

    replaces: frozenset[str]
    description: str | None = None
    shared_env: Env = ()
    default_resource_limits: ResourceLimits | None = None


class Projects:
    """Makes, shows, changes and removes projects; who may not read env values sees them hidden."""

    def __init__(
        self,
        *,
        database: Database,
        projects: ProjectStore,
        vault: SecretVault,
        feed: Feed,
        audit: Audit,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._projects = projects
        self._vault = vault
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._memory: Memory[Project] = Memory("project", self._load, feed=feed)

    async def list(self, caller: Caller) -> list[Project]:
        """The projects in which the caller has a role, by name."""
        only = reach_of(caller)
        async with self._database.read() as tx:
            found = await self._projects.list(tx, only=only)
        return [_shown(project, caller) for project in found]

    async def get(self, caller: Caller, project_id: str) -> Project:
        """One project; raises ProjectNotFound to those without a role in it."""
        missing = ProjectNotFound("cannot find project: no such project")
        check(caller, "project.read", project_id=project_id, missing=missing)
        project = await self._memory.get(project_id)
        if project is None:
            raise missing
        return _shown(project, caller)

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        description: str | None,
        shared_env: Env,
        default_resource_limits: ResourceLimits | None,
    ) -> Project:
        """Make a project; raises NameTaken."""
        check(caller, "project.create")
        check_title(name, what="name")
        check_env(shared_env)
        check_limits(default_resource_limits)
        project = Project(
            id=self._ids.new_id(),
            name=name,
            description=description,
            shared_env=shared_env,
            default_resource_limits=default_resource_limits,
            created_at=self._clock.now(),
        )
        async with self._database.write() as tx:
            await tx.lock("projects")
            if await self._projects.find(tx, name) is not None:
                raise NameTaken(f"cannot create project: the name {name!r} is taken")
            await self._projects.add(tx, project)
            await self._record(tx, caller, "project.create", project=project)
        return project

    async def update(self, caller: Caller, project_id: str, change: ProjectChange) -> Project:
        """Replace the fields that the change names; replicas that run keep what they were started with."""
        missing = ProjectNotFound("cannot update project: no such project")
        check(caller, "project.update", project_id=project_id, missing=missing)
        check_env(change.shared_env)
        check_limits(change.default_resource_limits)
        async with self._database.write() as tx:
            await tx.lock("projects")
            stored = await self._projects.get(tx, project_id)
            if stored is None:
                raise missing
            project = dataclasses.replace(stored, **{name: getattr(change, name) for name in change.replaces})
            await self._projects.update(tx, project)
            await self._record(tx, caller, "project.update", project=project)
        return project

    async def delete(self, caller: Caller, project_id: str) -> None:
        """Remove a project without services and jobs, and its secrets; raises InUse. One that is gone is gone."""
        missing = ProjectNotFound("cannot delete project: no such project")
        check(caller, "project.delete", project_id=project_id, missing=missing)
        async with self._database.write() as tx:
            await tx.lock("projects")
            project = await self._projects.get(tx, project_id)
            if project is not None:
                if await self._projects.count_services(tx, project_id):
                    raise InUse("cannot delete project with existing services")
                if await self._projects.count_jobs(tx, project_id):
                    raise InUse("cannot delete project with existing jobs")
                await self._projects.delete(tx, project_id)
                await self._record(tx, caller, "project.delete", project=project)
        # Also for one that is gone: whoever was interrupted here asks again.
        await self._vault.delete_scope(project_id)

    async def _load(self, project_id: str) -> Project | None:
        async with self._database.read() as tx:
            return await self._projects.get(tx, project_id)

    async def _record(self, tx: Transaction, caller: Caller, action: str, *, project: Project) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="project",
            object_id=project.id,
            project_id=project.id,
            details={"name": project.name},
        )


def _shown(project: Project, caller: Caller) -> Project:
    if allows(caller, "env.read", project_id=project.id):
        return project
    return dataclasses.replace(project, shared_env=redact_env(project.shared_env))
