"""What existing clients of this API lean on: statuses and envelopes, headers, spellings, and worked examples."""

from __future__ import annotations

import datetime as dt
import io
import re
import uuid
from typing import Any, Final

import pytest
from aiohttp import ClientSession

from controld.model.role import Role
from kit.http.openapi import describe
from tests.controld.app import PASSWORD, SETUP_SECRET, App, ask, bearer, service_body

_SETUP: Final = bearer(SETUP_SECRET)
_NOWHERE: Final = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"
_JSON: Final = {"Content-Type": "application/json"}

_SPELLINGS: Final[dict[str, set[str]]] = {
    "Role": {"viewer", "operator", "admin"},
    "Status": {"Pending", "Building", "Starting", "Healthy", "Failed", "Stopped", "Inactive"},
    "Protocol": {"http", "tcp", "udp"},
    "HostnameStatus": {"pending", "verified", "failed"},
    "RegistryAuth": {"anonymous", "basic", "token", "ecr_token", "gar_token"},
}
_TAGS: Final[dict[str, tuple[str, set[str]]]] = {
    "ServiceAsked.source": ("type", {"git", "external_image", "upload"}),
    "ServiceShape.source": ("type", {"git", "external_image", "upload"}),
    "DeploymentShape.request": ("source", {"git", "external_image", "upload", "redeploy"}),
    "ArtifactShape.source": ("type", {"build_kit", "external_registry", "uploaded_context"}),
    "MeShape.principal": ("kind", {"user", "bootstrap"}),
}


@pytest.mark.parametrize(
    ("method", "path", "data", "headers", "status"),
    [
        ("POST", "/v1/services", b'{"name": ', _JSON, 400),
        ("POST", "/v1/services", b"{}", _JSON, 422),
        ("POST", "/v1/projects", b'{"name": 1}', _JSON, 422),
        ("POST", f"/v1/projects/{_NOWHERE}/members", b'{"user_id": "x", "role": "viewer"}', _JSON, 422),
        (
            "POST",
            f"/v1/projects/{_NOWHERE}/members",
            f'{{"user_id": "{_NOWHERE}", "role": "boss"}}'.encode(),
            _JSON,
            422,
        ),
        ("POST", "/v1/projects", b'{"name": "x"}', {"Content-Type": "text/plain"}, 415),
        ("POST", "/v1/projects", b'{"name": "' + b"x" * 1024 * 1024 + b'"}', _JSON, 413),
        ("POST", "/v1/projects", b'{"name": " "}', _JSON, 400),
        ("GET", "/v1/services/not-an-id", None, {}, 400),
        ("GET", f"/v1/services/{_NOWHERE}", None, {}, 404),
        ("GET", "/v1/nowhere", None, {}, 404),
        ("GET", "/v1/auth/sessions", None, {}, 409),
        ("PATCH", "/v1/services", None, {}, 405),
    ],
)
async def test_each_failure_has_its_status_and_one_envelope(
    app: App, method: str, path: str, data: bytes | None, headers: dict[str, str], status: int
) -> None:
    async with (
        app.serve() as http,
        http.request(
            method, path, data=None if data is None else io.BytesIO(data), headers={**headers, **_SETUP}
        ) as answer,
    ):
        assert answer.status == status
        assert answer.content_type == "application/json"
        fault = await answer.json()
    assert set(fault) == {"error", "code"}
    assert isinstance(fault["error"], str)
    assert re.fullmatch(r"[a-z_]+", fault["code"])


async def test_a_body_all_of_whose_fields_may_be_left_out_may_be_left_out_itself(app: App) -> None:
    async with app.serve() as http, http.post("/v1/nodes/join-tokens", headers=_SETUP) as answer:
        assert answer.status == 201
        assert (await answer.json())["token"]
    async with (
        app.serve() as http,
        http.post(
            "/v1/nodes/join-tokens", data=b"node_id=1", headers={**_SETUP, "Content-Type": "text/plain"}
        ) as answer,
    ):
        assert answer.status == 415


async def test_who_is_not_recognised_is_told_nothing_but_that(app: App) -> None:
    async with app.serve() as http:
        for method, path in (
            ("GET", "/v1/me"),
            ("GET", "/v1/nowhere"),
            ("PATCH", "/v1/services"),
            ("GET", "/v1/services/x"),
        ):
            for headers in ({}, bearer("x"), {"Authorization": f"bearer {SETUP_SECRET}"}):
                async with http.request(method, path, headers=headers) as answer:
                    assert (answer.status, await answer.read()) == (401, b"")
                    assert "WWW-Authenticate" not in answer.headers


async def test_a_wrong_method_is_told_which_are_right_and_head_answers_as_get(app: App) -> None:
    async with app.serve() as http:
        async with http.put("/v1/services", headers=_SETUP) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
        async with http.head("/v1/services", headers=_SETUP) as answer:
            assert (answer.status, await answer.read()) == (200, b"")


async def test_every_routed_answer_carries_the_headers_that_browsers_heed(app: App) -> None:
    wanted = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    async with app.serve() as http:
        for path, headers in (("/healthz", {}), ("/v1/me", {}), ("/v1/me", _SETUP), ("/v1/nowhere", _SETUP)):
            async with http.get(path, headers=headers) as answer:
                assert {name: answer.headers[name] for name in wanted} == wanted
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'self'" in policy
                assert "connect-src 'self' ws: wss:" in policy
                assert "frame-ancestors 'none'" in policy
                for feature in ("geolocation", "microphone", "camera", "payment", "usb", "interest-cohort"):
                    assert f"{feature}=()" in answer.headers["Permissions-Policy"]
                assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_enumerations_keep_the_spellings_of_the_contract(app: App) -> None:
    schemas = describe(app.surface)["components"]["schemas"]
    assert {name: set(schemas[name]["enum"]) for name in _SPELLINGS} == _SPELLINGS
    for field, (tag, values) in _TAGS.items():
        shape, _, name = field.partition(".")
        told = schemas[shape]["properties"][name]["discriminator"]
        assert told["propertyName"] == tag
        assert set(told["mapping"]) == values, field


async def test_ids_moments_and_env_look_as_clients_read_them(app: App) -> None:
    project_id = await app.add_project()
    env = [["B", "1"], ["A", "2"], ["B", "3"]]
    async with app.serve() as http:
        body = service_body(project_id, env=env, a_field_of_tomorrow=True, autoscale=None)
        _, service = await ask(http, "POST", "/v1/services", body, headers=_SETUP)
        _, project = await ask(http, "GET", f"/v1/projects/{project_id}", headers=_SETUP)
    assert service["env"] == env
    for value in (service["id"], project["id"]):
        assert value == str(uuid.UUID(value)).lower()
        assert uuid.UUID(value).version == 7
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", project["created_at"])
    assert dt.datetime.fromisoformat(project["created_at"]).utcoffset() == dt.timedelta()
    for name in ("description", "default_resource_limits"):
        assert project[name] is None


async def test_worked_examples_go_as_written(app: App) -> None:
    project_id = await app.add_project()
    asked = {
        "project_id": project_id,
        "name": "web",
        "domains": ["web.example.com"],
        "source": {"type": "external_image", "image": "nginx:1.27"},
        "internal_port": 80,
        "health_check": {"path": "/", "timeout_seconds": 5},
        "env": [["MODE", "prod"]],
        "tls_enabled": False,
    }
    async with app.serve() as http:
        assert await ask(http, "GET", "/healthz") == (200, {"status": "ok", "ok": True})
        assert await ask(http, "GET", "/v1/me", headers=_SETUP) == (
            200,
            {
                "principal": {"kind": "bootstrap"},
                "is_super_admin": True,
                "admin_initialized": False,
                "memberships": [],
            },
        )
        status, service = await ask(http, "POST", "/v1/services", asked, headers=_SETUP)
        assert status == 200
        told = {**asked, "id": service["id"], "resource_limits": None, "autoscale": None, "endpoints": []}
        told["source"] = {**asked["source"], "credential": None, "registry_id": None, "image_ref": None}  # type: ignore[dict-item]
        assert {name: service[name] for name in told} == told

        request = {"source": "external_image", "service_id": service["id"], "image": "nginx:1.27"}
        status, deployment = await ask(http, "POST", "/v1/deployments", request, headers=_SETUP)
        assert status == 202
        assert "artifact" not in deployment
        wanted = {"service_id": service["id"], "request": request, "status": "Pending"}
        assert {name: deployment[name] for name in wanted} == wanted
        _, view = await ask(http, "GET", f"/v1/deployments/{deployment['id']}", headers=_SETUP)
        assert view["artifact"] is None

        registry = {"name": "ghcr", "endpoint": "ghcr.io", "auth_kind": "basic"}
        secret = {"username": "u", "password": "p"}
        path = f"/v1/projects/{project_id}/registries"
        status, made = await ask(http, "POST", path, {**registry, **secret}, headers=_SETUP)
        assert status == 201
        assert {name: made[name] for name in (*registry, "project_id")} == {**registry, "project_id": project_id}
        assert re.fullmatch(r"registry-[0-9a-f]{32}", made["credential_ref"])
        assert not secret.keys() & made.keys()


async def test_a_client_logs_in_looks_around_and_logs_out(app: App) -> None:
    """What the command `auth` of the other client does."""
    await app.add_user("ada", super_admin=True)
    async with app.serve() as http:
        status, session = await ask(http, "POST", "/v1/auth/login", {"username": "ada", "password": PASSWORD})
        assert (status, set(session)) == (200, {"token", "expires_at"})
        assert re.fullmatch(r"[0-9a-f]{64}", session["token"])
        mine = bearer(session["token"])
        _, me = await ask(http, "GET", "/v1/me", headers=mine)
        assert (me["principal"]["kind"], set(me["principal"]["user"])) == ("user", {"id", "username", "created_at"})
        status, project = await ask(http, "POST", "/v1/projects", {"name": "shop"}, headers=mine)
        assert (status, project["shared_env"]) == (201, [])
        assert await ask(http, "POST", "/v1/auth/logout", headers=mine) == (200, {"logged_out": True})
        assert (await ask(http, "GET", "/v1/me", headers=mine))[0] == 401


@pytest.mark.parametrize(("role", "shown"), [(Role.VIEWER, "***redacted***"), (Role.OPERATOR, "secret")])
async def test_values_of_env_are_hidden_below_operator_and_the_mark_is_refused(
    app: App, role: Role, shown: str
) -> None:
    project_id = await app.add_project()
    caller = bearer(await app.token_of("ada", project_id=project_id, role=role))
    async with app.serve() as http:
        body = service_body(project_id, env=[["KEY", "secret"]])
        _, service = await ask(http, "POST", "/v1/services", body, headers=_SETUP)
        assert await _envs(http, service["id"], project_id, caller) == [[["KEY", shown]]] * 2 + [[["K", shown]]] * 2
        marked = service_body(project_id, env=[["KEY", "***redacted***"]])
        assert (await ask(http, "POST", "/v1/services", marked, headers=_SETUP))[0] == 400
        assert (await ask(http, "PUT", f"/v1/services/{service['id']}", marked, headers=_SETUP))[0] == 400
        shared = {"shared_env": [["KEY", "***redacted***"]]}
        assert (await ask(http, "PUT", f"/v1/projects/{project_id}", shared, headers=_SETUP))[0] == 400


async def _envs(http: ClientSession, service_id: str, project_id: str, caller: dict[str, str]) -> list[Any]:
    """The env of a service and of a project, each as it is read alone and in its list."""
    _, service = await ask(http, "GET", f"/v1/services/{service_id}", headers=caller)
    _, services = await ask(http, "GET", "/v1/services", headers=caller)
    _, project = await ask(http, "GET", f"/v1/projects/{project_id}", headers=caller)
    _, projects = await ask(http, "GET", "/v1/projects", headers=caller)
    return [service["env"], services[0]["env"], project["shared_env"], projects[0]["shared_env"]]
