"""Projects and their members in the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from controld.core.ports import Transaction
from controld.model.project import Membership, Project
from controld.model.role import Role
from controld.model.service import ResourceLimits
from controld.store.tables import jobs, memberships, projects, services
from controld.store.upsert import insert_into


class ProjectStore:
    """Reads and writes projects; each change announces ("project", id)."""

    async def add(self, tx: Transaction, project: Project) -> None:
        """Keep a new project."""
        await tx.execute(projects.insert().values(id=project.id, created_at=project.created_at, **_values(project)))
        tx.announce("project", project.id)

    async def update(self, tx: Transaction, project: Project) -> None:
        """Replace all of a project but its id and when it was made."""
        await tx.execute(update(projects).where(projects.c.id == project.id).values(**_values(project)))
        tx.announce("project", project.id)

    async def get(self, tx: Transaction, project_id: str) -> Project | None:
        """The project."""
        row = (await tx.execute(select(projects).where(projects.c.id == project_id))).one_or_none()
        return None if row is None else _project(row)

    async def find(self, tx: Transaction, name: str) -> Project | None:
        """The project of that name."""
        row = (await tx.execute(select(projects).where(projects.c.name == name))).one_or_none()
        return None if row is None else _project(row)

    async def list(self, tx: Transaction, *, only: Collection[str] | None = None) -> list[Project]:
        """Projects by name; with `only`, those with these ids."""
        statement = select(projects).order_by(projects.c.name)
        if only is not None:
            statement = statement.where(projects.c.id.in_(only))
        return [_project(row) for row in await tx.execute(statement)]

    async def delete(self, tx: Transaction, project_id: str) -> None:
        """Remove the project with its memberships; it has no services any more."""
        members = (
            await tx.execute(select(memberships.c.user_id).where(memberships.c.project_id == project_id))
        ).scalars()
        tx.announce("user", *members)
        await tx.execute(delete(projects).where(projects.c.id == project_id))
        tx.announce("project", project_id)

    async def count_services(self, tx: Transaction, project_id: str) -> int:
        """How many services the project has."""
        statement = select(func.count()).select_from(services).where(services.c.project_id == project_id)
        return int((await tx.execute(statement)).scalar_one())

    async def count_jobs(self, tx: Transaction, project_id: str) -> int:
        """How many jobs the project has."""
        statement = select(func.count()).select_from(jobs).where(jobs.c.project_id == project_id)
        return int((await tx.execute(statement)).scalar_one())


class MemberStore:
    """Reads and writes memberships; each change announces ("user", the member's id)."""

    async def put(self, tx: Transaction, membership: Membership) -> None:
        """Give a user a role, in place of the one they had."""
        await tx.execute(
            insert_into(tx, memberships)
            .values(project_id=membership.project_id, user_id=membership.user_id, role=membership.role.value)
            .on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"role": membership.role.value})
        )
        tx.announce("user", membership.user_id)

    async def remove(self, tx: Transaction, project_id: str, *, user_id: str) -> bool:
        """Take a user's role; False when they had none."""
        found = (await tx.execute(delete(memberships).where(_is(project_id, user_id)))).rowcount
        tx.announce("user", user_id)
        return bool(found)

    async def get(self, tx: Transaction, project_id: str, *, user_id: str) -> Membership | None:
        """A user's role in the project."""
        row = (await tx.execute(select(memberships).where(_is(project_id, user_id)))).one_or_none()
        return None if row is None else _membership(row)

    async def list_admin_projects(self, tx: Transaction, user_id: str) -> list[str]:
        """The projects of which the user is an admin, by id."""
        statement = (
            select(memberships.c.project_id)
            .where(memberships.c.user_id == user_id, memberships.c.role == Role.ADMIN.value)
            .order_by(memberships.c.project_id)
        )
        return list((await tx.execute(statement)).scalars())

    async def list_sole_admin_projects(self, tx: Transaction, user_id: str) -> list[str]:
        """The projects whose only admin this user is."""
        admins = (
            select(memberships.c.project_id)
            .where(memberships.c.role == Role.ADMIN.value)
            .group_by(memberships.c.project_id)
            .having(func.count() == 1)
        )
        statement = select(memberships.c.project_id).where(
            memberships.c.user_id == user_id,
            memberships.c.role == Role.ADMIN.value,
            memberships.c.project_id.in_(admins),
        )
        return list((await tx.execute(statement)).scalars())

    async def list(self, tx: Transaction, project_id: str) -> list[Membership]:
        """The project's members by user id."""
        statement = select(memberships).where(memberships.c.project_id == project_id).order_by(memberships.c.user_id)
        return [_membership(row) for row in await tx.execute(statement)]


def _is(project_id: str, user_id: str) -> Any:
    return (memberships.c.project_id == project_id) & (memberships.c.user_id == user_id)


def _membership(row: Row[Any]) -> Membership:
    return Membership(user_id=row.user_id, project_id=row.project_id, role=Role(row.role))


def _values(project: Project) -> dict[str, Any]:
    limits = project.default_resource_limits
    return {
        "name": project.name,
        "description": project.description,
        "shared_env": project.shared_env,
        "default_cpu_millis": None if limits is None else limits.cpu_millis,
        "default_memory_bytes": None if limits is None else limits.memory_bytes,
    }


def _project(row: Row[Any]) -> Project:
    limits = None
    if row.default_cpu_millis is not None and row.default_memory_bytes is not None:
        limits = ResourceLimits(cpu_millis=row.default_cpu_millis, memory_bytes=row.default_memory_bytes)
    return Project(
        id=row.id,
        name=row.name,
        description=row.description,
        shared_env=tuple((name, value) for name, value in row.shared_env),
        default_resource_limits=limits,
        created_at=row.created_at,
    )
