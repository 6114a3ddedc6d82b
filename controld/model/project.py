"""A project: what services live in, and who may do what there."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.model.role import Role
from controld.model.service import Env, ResourceLimits


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project with what its services share."""

    id: str
    name: str
    description: str | None
    shared_env: Env
    default_resource_limits: ResourceLimits | None
    created_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The role of one user in one project."""

    user_id: str
    project_id: str
    role: Role
