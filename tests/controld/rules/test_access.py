"""The table of least roles, and how a refusal reads."""

from __future__ import annotations

import pytest

from controld.model.caller import SETUP_CALLER, Caller, CallerKind, TokenKind
from controld.model.role import Role
from controld.rules.access import LEAST, allows, check, role_in
from kit.faults import Forbidden, NotFound


def _user(
    *, role: Role | None = None, super_admin: bool = False, limit: str | None = None, ceiling: Role | None = None
) -> Caller:
    return Caller(
        kind=CallerKind.USER,
        token_kind=TokenKind.API_TOKEN,
        user_id="u",
        is_super_admin=super_admin,
        memberships={} if role is None else {"p": role},
        project_limit=limit,
        role_ceiling=ceiling,
    )


@pytest.mark.parametrize("operation", [name for name, least in LEAST.items() if isinstance(least, Role)])
@pytest.mark.parametrize("role", [None, *Role])
def test_a_member_may_exactly_what_their_role_reaches(operation: str, role: Role | None) -> None:
    least = LEAST[operation]
    assert isinstance(least, Role)
    wanted = role is not None and role.rank >= least.rank
    assert allows(_user(role=role), operation, project_id="p") is wanted
    assert allows(_user(role=role), operation, project_id="other") is False


@pytest.mark.parametrize("operation", LEAST)
def test_a_node_may_nothing_by_this_table(operation: str) -> None:
    node = Caller(kind=CallerKind.NODE, token_kind=TokenKind.CERTIFICATE, node_id="n")
    assert not allows(node, operation, project_id="p")


@pytest.mark.parametrize("operation", LEAST)
def test_the_setup_secret_may_all_but_what_needs_a_person(operation: str) -> None:
    assert allows(SETUP_CALLER, operation, project_id="p") is (operation != "own.change")


def test_a_token_gives_no_more_than_its_limits_say() -> None:
    limited = _user(super_admin=True, limit="p", ceiling=Role.VIEWER)
    assert role_in(limited, "p") is Role.VIEWER
    assert role_in(limited, "q") is None
    assert not allows(limited, "users.change")
    for ceiling in Role:
        assert not allows(_user(super_admin=True, ceiling=ceiling), "project.create")
    assert allows(_user(super_admin=True, limit="p"), "users.directory")
    assert not allows(_user(super_admin=True, ceiling=Role.OPERATOR), "users.directory")
    assert allows(_user(super_admin=True, ceiling=Role.OPERATOR), "registry.status")
    assert not allows(_user(role=Role.ADMIN, limit="q"), "registry.status")


def test_a_ceiling_never_lifts_a_role() -> None:
    assert role_in(_user(role=Role.VIEWER, ceiling=Role.ADMIN), "p") is Role.VIEWER


def test_who_has_no_role_is_told_that_the_thing_is_missing_and_who_has_too_little_that_it_is_forbidden() -> None:
    missing = NotFound("no such service")
    with pytest.raises(NotFound):
        check(_user(), "service.write", project_id="p", missing=missing)
    with pytest.raises(Forbidden, match="operator"):
        check(_user(role=Role.VIEWER), "service.write", project_id="p", missing=missing)
    check(_user(role=Role.OPERATOR), "service.write", project_id="p", missing=missing)
