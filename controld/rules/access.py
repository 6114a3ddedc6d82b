"""Who may do what: one table of least roles, and how a refusal reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controld.model.caller import Caller, CallerKind
from controld.model.role import Role
from kit.faults import Fault, Forbidden

SUPER_ADMIN: Final = "super_admin"
ANY: Final = "any"
PERSON: Final = "person"
SOME_ADMIN: Final = "some_admin"
SOME_MEMBER: Final = "some_member"

LEAST: Final[Mapping[str, Role | str]] = {
    "project.read": Role.VIEWER,
    "project.create": SUPER_ADMIN,
    "project.update": Role.ADMIN,
    "project.delete": Role.ADMIN,
    "members.read": Role.VIEWER,
    "members.change": Role.ADMIN,
    "service.read": Role.VIEWER,
    "service.write": Role.OPERATOR,
    "service.delete": Role.OPERATOR,
    "service.stop": Role.OPERATOR,
    "service.logs": Role.OPERATOR,
    "service.metrics": Role.VIEWER,
    "service.requests": Role.VIEWER,
    "domains.read": Role.VIEWER,
    "domains.change": Role.OPERATOR,
    "upload.create": Role.OPERATOR,
    "deployment.read": Role.VIEWER,
    "deployment.create": Role.OPERATOR,
    "deployment.cancel": Role.OPERATOR,
    "deployment.logs": Role.OPERATOR,
    "image.pull": Role.VIEWER,
    "image.push": Role.OPERATOR,
    "registry.status": SOME_MEMBER,
    "registry.collect": SUPER_ADMIN,
    "env.read": Role.OPERATOR,
    "users.change": SUPER_ADMIN,
    "users.directory": SOME_ADMIN,
    "nodes.read": SUPER_ADMIN,
    "nodes.change": SUPER_ADMIN,
    "node.metrics": SUPER_ADMIN,
    "ingress.read": SUPER_ADMIN,
    "audit.read": SUPER_ADMIN,
    "bootstrap": SUPER_ADMIN,
    "own.read": ANY,
    "own.change": PERSON,
}
"""For each operation the least role in the project it is about, or what the caller has to be."""


def role_in(caller: Caller, project_id: str) -> Role | None:
    """The caller's role in a project under the limits of their token, or None when it is none of theirs."""
    if caller.kind is CallerKind.NODE or caller.project_limit not in {None, project_id}:
        return None
    role = Role.ADMIN if caller.is_super_admin else caller.memberships.get(project_id)
    if role is not None and caller.role_ceiling is not None and caller.role_ceiling.rank < role.rank:
        return caller.role_ceiling
    return role


def reach_of(caller: Caller) -> frozenset[str] | None:
    """The projects in which the caller has a role, or None for all that there are."""
    if caller.kind is CallerKind.NODE:
        return frozenset()
    if caller.project_limit is not None:
        return frozenset({caller.project_limit} if role_in(caller, caller.project_limit) is not None else ())
    return None if caller.is_super_admin else frozenset(caller.memberships)


def allows(caller: Caller, operation: str, *, project_id: str | None = None) -> bool:
    """Whether the table lets the caller do the operation, in that project where it is about one."""
    least = LEAST[operation]
    if isinstance(least, Role):
        role = None if project_id is None else role_in(caller, project_id)
        return role is not None and role.rank >= least.rank
    if caller.kind is CallerKind.NODE:
        return False
    if least == SUPER_ADMIN:
        return is_super_admin(caller)
    if least == SOME_ADMIN:
        return is_super_admin(caller) or any(role_in(caller, each) is Role.ADMIN for each in caller.memberships)
    if least == SOME_MEMBER:
        return caller.is_super_admin or any(role_in(caller, each) is not None for each in caller.memberships)
    return least == ANY or (caller.user_id is not None and not caller.is_limited)


def is_super_admin(caller: Caller) -> bool:
    """Whether the caller is above projects; a token with a project or a role ceiling below admin never is."""
    return caller.is_super_admin and caller.project_limit is None and caller.role_ceiling in {None, Role.ADMIN}


def check(caller: Caller, operation: str, *, project_id: str | None = None, missing: Fault | None = None) -> None:
    """Return when the table allows it; raise `missing` to those who have no role in the project, else Forbidden."""
    if allows(caller, operation, project_id=project_id):
        return
    if missing is not None and project_id is not None and role_in(caller, project_id) is None:
        raise missing
    raise Forbidden(f"cannot do this: it needs {_needs(operation)}")


def _needs(operation: str) -> str:
    least = LEAST[operation]
    if isinstance(least, Role):
        return f"the role {least.value} in the project"
    return {
        SUPER_ADMIN: "a super-admin",
        SOME_ADMIN: "an admin of some project",
        SOME_MEMBER: "a role in some project",
        PERSON: "a signed-in person, or a token of theirs without limits",
        ANY: "a credential of a person",
    }[least]
