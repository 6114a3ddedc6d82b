"""Who may call each row of `/v1`: the table's `access` held against what really answers each kind of caller."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

from aiohttp import ClientSession

from controld.model.role import Role
from kit.http.surface import PUBLIC, Route
from tests.controld.app import PASSWORD, SETUP_SECRET, App, ask, bearer, service_body

_NOWHERE = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"
_SETUP = bearer(SETUP_SECRET)
_ALL: Final = frozenset({"nobody", "stranger", "viewer", "operator", "admin", "super", "setup"})
_MAY: Final = {
    "any": _ALL,
    "person": _ALL - {"setup"},
    "member of a project": _ALL - {"nobody"},
    "admin of a project": frozenset({"stranger", "admin", "super", "setup"}),
    "viewer": frozenset({"viewer", "operator", "admin", "super", "setup"}),
    "operator": frozenset({"operator", "admin", "super", "setup"}),
    "admin": frozenset({"admin", "super", "setup"}),
    "super-admin": frozenset({"super", "setup"}),
}
"""For each word of the table, who may call; `stranger` is the admin of another project, `nobody` has none."""
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "POST /v1/auth/login": {"username": "x", "password": "x"},
    "PUT /v1/me/password": {"current_password": "wrong", "new_password": PASSWORD},
    "POST /v1/bootstrap": {"username": "first", "password": PASSWORD},
    "POST /v1/users": {"username": "made", "password": PASSWORD},
    "POST /v1/api-tokens": {"name": "made"},
    "POST /v1/projects": {"name": "made"},
    "POST /v1/projects/{project_id}/members": {"user_id": _NOWHERE, "role": "viewer"},
    "POST /v1/deployments": {"source": "redeploy"},
}
_HIDDEN: Final = frozenset({"project_not_found", "service_not_found", "deployment_not_found"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A project with a service and a deployment, in which viewer, operator and admin are members."""

    project_id: str
    service_id: str
    deployment_id: str


async def test_each_row_answers_those_whom_its_access_names_and_nobody_else(app: App) -> None:
    callers = await _make_callers(app)
    async with app.serve() as http:
        refusing = await _make_place(app, http, "refusing")
        for number, route in enumerate(app.surface.routes):
            row = f"{route.method} {route.path}"
            if route.access == PUBLIC:
                assert await _try(http, route, refusing, headers={}) == "answered", row
                continue
            for headers in ({}, bearer("garbage"), {"Authorization": "Basic eDp5"}):
                assert await _try(http, route, refusing, headers=headers) == "unknown caller", row
            told = {}
            for name in _ALL - _MAY[route.access]:
                told[name] = await _try(http, route, refusing, headers=callers[name])
            assert told == {name: _refusal(name, route) for name in told}, row
            for name in _MAY[route.access]:
                place = await _make_place(app, http, f"{name}-{number}")
                assert await _try(http, route, place, headers=callers[name]) == "answered", (row, name)


def _refusal(name: str, route: Route) -> str:
    in_a_project = route.access in {role.value for role in Role}
    return "hidden" if in_a_project and name in {"nobody", "stranger"} else "forbidden"


async def _make_callers(app: App) -> dict[str, dict[str, str]]:
    await app.add_user("super", super_admin=True)
    other = await app.add_project("other")
    tokens = {name: await app.token_of(name) for name in ("nobody", "viewer", "operator", "admin", "super")}
    tokens["stranger"] = await app.token_of("stranger", project_id=other, role=Role.ADMIN)
    return {"setup": _SETUP} | {name: bearer(token) for name, token in tokens.items()}


async def _make_place(app: App, http: ClientSession, name: str) -> _Place:
    project_id = await app.add_project(name)
    for role in Role:
        await app.token_of(role.value, project_id=project_id, role=role)
    _, service = await ask(http, "POST", "/v1/services", service_body(project_id), headers=_SETUP)
    request = {"source": "redeploy", "service_id": service["id"]}
    _, deployment = await ask(http, "POST", "/v1/deployments", request, headers=_SETUP)
    return _Place(project_id=project_id, service_id=service["id"], deployment_id=deployment["id"])


async def _try(http: ClientSession, route: Route, place: _Place, *, headers: dict[str, str]) -> str:
    """What the caller of this row learns: that it answers, is forbidden, hides its object, or asks who calls."""
    ids = {**dataclasses.asdict(place), "action": "stop"}
    path = re.sub(r"\{([a-z_]+)\}", lambda name: ids.get(name[1], _NOWHERE), route.path)
    body = None
    if route.body is not None:
        body = {
            **(service_body(place.project_id) if "/services" in path else {}),
            **({"service_id": place.service_id} if path == "/v1/deployments" else {}),
            **_BODIES.get(f"{route.method} {route.path}", {}),
        }
    method = "HEAD" if route.stream is not None else route.method
    async with http.request(method, path, json=body, headers=headers) as answer:
        fault = await answer.json() if answer.status >= 400 and await answer.read() else {}
        assert answer.status not in {422, 500}, (route.method, route.path, fault)
    if answer.status == 401 and not fault:
        return "unknown caller"
    if answer.status == 403 or (answer.status, route.access) == (409, "person"):
        return "forbidden"
    return "hidden" if answer.status == 404 and fault.get("code", "") in _HIDDEN | {""} else "answered"
