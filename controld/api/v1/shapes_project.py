"""The JSON of projects and members, and what it says of our records."""

from __future__ import annotations

import datetime as dt

import msgspec

from controld.api.v1.shapes import Id, MembershipShape
from controld.core.projects import ProjectChange
from controld.model.project import Membership, Project
from controld.model.role import Role
from controld.model.service import Env, ResourceLimits
from wire.base import Lenient


class RemovedShape(Lenient, frozen=True):
    """They are no member."""

    removed: bool = True


class ProjectAsked(Lenient, frozen=True):
    """A new project."""

    name: str
    description: str | None = None
    shared_env: Env | None = None
    default_resource_limits: ResourceLimits | None = None


class ProjectChangeAsked(Lenient, frozen=True):
    """A change of a project: what is absent stays, null clears."""

    description: str | msgspec.UnsetType | None = msgspec.UNSET
    shared_env: Env | msgspec.UnsetType | None = msgspec.UNSET
    default_resource_limits: ResourceLimits | msgspec.UnsetType | None = msgspec.UNSET


class ProjectShape(Lenient, frozen=True):
    """A project."""

    id: str
    name: str
    description: str | None
    shared_env: Env
    default_resource_limits: ResourceLimits | None
    created_at: dt.datetime


class MemberAsked(Lenient, frozen=True):
    """A role for a user."""

    user_id: Id
    role: Role


def render_project(project: Project) -> ProjectShape:
    """A project."""
    return ProjectShape(
        id=project.id,
        name=project.name,
        description=project.description,
        shared_env=project.shared_env,
        default_resource_limits=project.default_resource_limits,
        created_at=project.created_at,
    )


def read_project_change(asked: ProjectChangeAsked) -> ProjectChange:
    """Which fields to replace, and by what."""
    fields = ("description", "shared_env", "default_resource_limits")
    given = {name: value for name in fields if (value := getattr(asked, name)) is not msgspec.UNSET}
    replaces = frozenset(given)
    if given.get("shared_env", ()) is None:
        given["shared_env"] = ()
    return ProjectChange(replaces=replaces, **given)


def render_membership(membership: Membership) -> MembershipShape:
    """A role."""
    return MembershipShape(user_id=membership.user_id, project_id=membership.project_id, role=membership.role)
