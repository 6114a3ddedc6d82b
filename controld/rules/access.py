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
SOME_OPERATOR: Final = "some_operator"

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
    "console.open": Role.OPERATOR,
    "console.transcripts": Role.ADMIN,
    "domains.read": Role.VIEWER,
    "domains.change": Role.OPERATOR,
    "credentials.read": Role.VIEWER,
    "credentials.change": Role.OPERATOR,
    "credentials.list": SUPER_ADMIN,
    "credentials.name": SUPER_ADMIN,
    "registries.read": Role.VIEWER,
    "registries.change": Role.OPERATOR,
    "upload.create": Role.OPERATOR,
    "deployment.read": Role.VIEWER,
    "deployment.create": Role.OPERATOR,
    "deployment.cancel": Role.OPERATOR,
    "deployment.logs": Role.OPERATOR,
    "job.read": Role.VIEWER,
    "job.write": Role.OPERATOR,
    "job.delete": Role.OPERATOR,
    "job.run": Role.OPERATOR,
    "job.cancel": Role.OPERATOR,
    "job.logs": Role.OPERATOR,
    "image.pull": Role.VIEWER,
    "image.push": Role.OPERATOR,
    "registry.status": SOME_MEMBER,
    "registry.collect": SUPER_ADMIN,
    "cache.status": SOME_MEMBER,
    "cache.collect": SOME_OPERATOR,
    "env.read": Role.OPERATOR,
    "users.change": SUPER_ADMIN,
    "users.directory": SOME_ADMIN,
    "nodes.read": SUPER_ADMIN,
    "nodes.change": SUPER_ADMIN,
    "node.metrics": SUPER_ADMIN,
    "ingress.read": SUPER_ADMIN,
    "certificates.read": SUPER_ADMIN,
    "exposition.read": SUPER_ADMIN,
    "audit.read": SOME_ADMIN,
    "audit.project": Role.ADMIN,
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


def highest_role(caller: Caller) -> Role | None:
    """The highest role that the caller has in any project under the limits of their token, or None without one."""
    if caller.kind is CallerKind.NODE:
        return None
    if caller.is_super_admin:
        return caller.role_ceiling or Role.ADMIN
    roles = [role for each in caller.memberships if (role := role_in(caller, each)) is not None]
    return max(roles, key=lambda role: role.rank, default=None)


def administered_by(caller: Caller) -> frozenset[str] | None:
    """The projects in which the caller is an admin under the limits of their token, or None for all that there are."""
    reach = reach_of(caller)
    if reach is None:
        return None if highest_role(caller) is Role.ADMIN else frozenset()
    return frozenset(each for each in reach if role_in(caller, each) is Role.ADMIN)


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
        return highest_role(caller) is Role.ADMIN
    if least == SOME_OPERATOR:
        highest = highest_role(caller)
        return highest is not None and highest.rank >= Role.OPERATOR.rank
    if least == SOME_MEMBER:
        return highest_role(caller) is not None
    return least == ANY or (caller.user_id is not None and not caller.is_limited)


def is_super_admin(caller: Caller) -> bool:
    """Whether the caller is above projects; a token with a project or a role ceiling never is."""
    return caller.is_super_admin and not caller.is_limited


def check(caller: Caller, operation: str, *, project_id: str | None = None, missing: Fault | None = None) -> None:
    """Return when the table allows it; raise `missing` to those who have no role in the project, else Forbidden."""
    if allows(caller, operation, project_id=project_id):
        return
    if missing is not None and project_id is not None and role_in(caller, project_id) is None:
        raise missing
    raise Forbidden(
        f"cannot do this: it needs {_needs(operation)}", details={"operation": operation, "project_id": project_id}
    )


def _needs(operation: str) -> str:
    least = LEAST[operation]
    if isinstance(least, Role):
        return f"the role {least.value} in the project"
    return {
        SUPER_ADMIN: "a super-admin",
        SOME_ADMIN: "an admin of some project",
        SOME_MEMBER: "a role in some project",
        SOME_OPERATOR: "an operator of some project",
        PERSON: "a signed-in person, or a token of theirs without limits",
        ANY: "a credential of a person",
    }[least]
