"""Ids of another project in bodies and queries: whoever sends one learns no more than from an id that nothing has."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from controld.model.role import Role
from tests.controld.app import ask, bearer, service_body
from tests.controld.deploying import ARCHIVE
from tests.controld.jobs import job_body
from tests.roles.world import NOWHERE, SETUP, Ids, World

Make = Callable[[World, Ids], Awaitable[str]]
"""Makes a thing in a place, and returns its id."""


@pytest.fixture
async def admin(world: World) -> dict[str, str]:
    """The header of an admin of `home` and of nothing else."""
    return bearer(await world.app.token_of("ada", project_id=world.home["project_id"], role=Role.ADMIN))


async def _upload(world: World, place: Ids) -> str:
    path = f"/v1/services/{place['service_id']}/uploads"
    async with world.http.post(path, data=ARCHIVE, headers=SETUP) as answer:
        assert answer.status == 200
        return str((await answer.json())["upload_id"])


def _there(name: str) -> Make:
    """What the place holds under this name."""

    async def find(_: World, place: Ids) -> str:
        return place[name]

    return find


async def _record(world: World, place: Ids) -> str:
    path = f"/v1/audit?project_id={place['project_id']}&limit=1"
    return str((await ask(world.http, "GET", path, headers=SETUP))[1][0]["id"])


def _service(home: Ids, **more: Any) -> Mapping[str, Any]:
    return service_body(home["project_id"], name="new", **more)


def _image(id: str) -> Mapping[str, Any]:
    return {"type": "external_image", "image": "", "registry_id": id, "image_ref": "team/web:1"}


@pytest.mark.parametrize(
    ("make", "status", "request_of"),
    [
        (_there("service_id"), 400, lambda home, id: ("POST", "/v1/services", _service(home, id=id))),
        (_there("project_id"), 404, lambda _, id: ("POST", "/v1/services", service_body(id, name="new"))),
        (_there("registry_id"), 404, lambda home, id: ("POST", "/v1/services", _service(home, source=_image(id)))),
        (
            _there("registry_id"),
            404,
            lambda home, id: (
                "PUT",
                f"/v1/services/{home['service_id']}",
                service_body(home["project_id"], source=_image(id)),
            ),
        ),
        (
            _there("service_id"),
            404,
            lambda _, id: ("POST", "/v1/deployments", {"source": "redeploy", "service_id": id}),
        ),
        (
            _there("project_id"),
            404,
            lambda _, id: ("POST", "/v1/api-tokens", {"name": "x", "project_id": id}),
        ),
        (_there("project_id"), 404, lambda _, id: ("POST", "/v1/jobs", job_body(id))),
        (_there("project_id"), 404, lambda _, id: ("GET", f"/v1/jobs?project_id={id}", None)),
        (
            _there("registry_id"),
            404,
            lambda home, id: ("POST", "/v1/jobs", {**job_body(home["project_id"]), "source": _image(id)}),
        ),
        (
            _there("registry_id"),
            404,
            lambda home, id: (
                "PUT",
                f"/v1/jobs/{home['job_id']}",
                {**job_body(home["project_id"]), "source": _image(id)},
            ),
        ),
        (_there("project_id"), 404, lambda _, id: ("GET", f"/v1/audit?project_id={id}", None)),
        (_record, 200, lambda _, id: ("GET", f"/v1/audit?before={id}", None)),
        (
            _there("deployment_id"),
            200,
            lambda home, id: ("GET", f"/v1/services/{home['service_id']}/deployments?before={id}", None),
        ),
    ],
)
async def test_an_id_of_another_project_is_no_better_than_one_that_nothing_has(
    world: World,
    admin: dict[str, str],
    make: Make,
    status: int,
    request_of: Callable[[Ids, str], tuple[str, str, Any]],
) -> None:
    answers = []
    for id in (await make(world, world.elsewhere), NOWHERE):
        method, path, body = request_of(world.home, id)
        met, told = await ask(world.http, method, path, body, headers=admin)
        answers.append((met, json.dumps(told).replace(id, "its id")))
    assert answers[0] == answers[1]
    assert answers[0][0] == status, answers[0]


async def test_an_upload_of_another_service_is_none_of_this_one(world: World, admin: dict[str, str]) -> None:
    body = {
        "source": "upload",
        "service_id": world.home["service_id"],
        "upload_id": await _upload(world, world.elsewhere),
        "dockerfile_path": "Dockerfile",
        "context_path": ".",
    }
    status, fault = await ask(world.http, "POST", "/v1/deployments", body, headers=admin)
    assert (status, fault["code"]) == (404, "upload_not_found")
