"""Projects, members and services over `/v1`."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession

from controld.model.role import Role
from controld.rules.redaction import REDACTED
from controld.store.nodes import NodeStore
from tests.controld.app import SETUP_SECRET, App, bearer, service_body
from tests.controld.store.test_nodes import NODE

_SETUP = bearer(SETUP_SECRET)
_NOWHERE = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"


async def _ask(
    http: ClientSession, method: str, path: str, body: Any = None, *, headers: dict[str, str] = _SETUP
) -> tuple[int, Any]:
    async with http.request(method, path, json=body, headers=headers) as answer:
        return answer.status, await answer.json() if await answer.read() else None


async def test_a_project_is_made_changed_field_by_field_and_deleted(app: App) -> None:
    async with app.serve() as http:
        limits = {"cpu_millis": 100, "memory_bytes": 2**23}
        body = {"name": "shop", "description": "d", "shared_env": [["A", "1"]], "default_resource_limits": limits}
        status, made = await _ask(http, "POST", "/v1/projects", body)
        assert status == 201
        assert made == {**body, "id": made["id"], "created_at": "2026-01-01T00:00:00Z"}
        assert (await _ask(http, "POST", "/v1/projects", {"name": "shop"}))[0] == 409
        assert (await _ask(http, "POST", "/v1/projects", {"name": " "}))[0] == 400
        path = f"/v1/projects/{made['id']}"
        assert (await _ask(http, "PUT", path, {}))[1] == made
        _, changed = await _ask(http, "PUT", path, {"description": None, "default_resource_limits": None})
        assert changed == {**made, "description": None, "default_resource_limits": None}
        _, cleared = await _ask(http, "PUT", path, {"shared_env": None})
        assert cleared["shared_env"] == []
        assert (await _ask(http, "GET", path))[1] == cleared
        assert (await _ask(http, "PUT", path, {"shared_env": [["A", REDACTED]]}))[0] == 400
        assert (await _ask(http, "PUT", path, {"shared_env": [["LD_PRELOAD", "x"]]}))[0] == 400
        zero = {"cpu_millis": 0, "memory_bytes": 0}
        assert (await _ask(http, "PUT", path, {"default_resource_limits": zero}))[0] == 400
        _, kept = await _ask(http, "PUT", path, {"name": "other", "description": "new"})
        assert (kept["name"], kept["description"]) == ("shop", "new")
        _, cleared = await _ask(http, "PUT", path, {"description": None})
        assert await _ask(http, "DELETE", path) == (200, {"deleted": True})
        assert (await _ask(http, "GET", path))[0] == 404
        assert await _ask(http, "DELETE", path) == (200, {"deleted": True})
        _, listed = await _ask(http, "GET", "/v1/projects")
        assert [project["name"] for project in listed] == ["default"]


async def test_a_project_with_services_cannot_be_deleted(app: App) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        assert (await _ask(http, "POST", "/v1/services", service_body(project_id)))[0] == 200
        status, fault = await _ask(http, "DELETE", f"/v1/projects/{project_id}")
        assert (status, fault["error"]) == (409, "cannot delete project with existing services")


async def test_each_sees_their_projects_and_values_only_from_operator_up(app: App) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        await _ask(http, "POST", "/v1/services", service_body(project_id, env=[["K", "v"]]))
        for role, value in ((Role.VIEWER, REDACTED), (Role.OPERATOR, None), (Role.ADMIN, None)):
            headers = bearer(await app.token_of(f"user-{role.value}", project_id=project_id, role=role))
            _, listed = await _ask(http, "GET", "/v1/projects", headers=headers)
            assert [project["shared_env"] for project in listed] == [[["K", value or "secret"]]]
            _, services = await _ask(http, "GET", "/v1/services", headers=headers)
            assert [service["env"] for service in services] == [[["K", value or "v"]]]
            _, one = await _ask(http, "GET", f"/v1/services/{services[0]['id']}", headers=headers)
            assert one == services[0]
        stranger = bearer(await app.token_of("stranger"))
        assert await _ask(http, "GET", "/v1/projects", headers=stranger) == (200, [])
        assert await _ask(http, "GET", "/v1/services", headers=stranger) == (200, [])


async def test_a_stranger_is_told_that_nothing_is_there_and_a_member_below_the_role_that_it_is_forbidden(
    app: App,
) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        _, service = await _ask(http, "POST", "/v1/services", service_body(project_id))
        stranger = bearer(await app.token_of("stranger"))
        viewer = bearer(await app.token_of("viewer", project_id=project_id, role=Role.VIEWER))
        project, one = f"/v1/projects/{project_id}", f"/v1/services/{service['id']}"
        body = service_body(project_id)
        member = {"user_id": _NOWHERE, "role": "viewer"}
        changes = [
            ("PUT", project, {}),
            ("DELETE", project, None),
            ("POST", f"{project}/members", member),
            ("DELETE", f"{project}/members/{_NOWHERE}", None),
            ("POST", "/v1/services", body),
            ("PUT", one, body),
            ("DELETE", one, None),
        ]
        reads = [("GET", project, None), ("GET", f"{project}/members", None), ("GET", one, None)]
        reads.append(("GET", f"{one}/domains", None))
        for method, path, sent in changes + reads:
            unknown = path.replace(project_id, _NOWHERE).replace(service["id"], _NOWHERE)
            blind = {**sent, "project_id": _NOWHERE} if sent and "project_id" in sent else sent
            told = await _ask(http, method, path, sent, headers=stranger)
            assert told[0] == 404, (method, path)
            assert told == await _ask(http, method, unknown, blind, headers=stranger)
        for method, path, sent in changes:
            assert (await _ask(http, method, path, sent, headers=viewer))[0] == 403, (method, path)
        for method, path, sent in reads:
            assert (await _ask(http, method, path, sent, headers=viewer))[0] == 200, (method, path)


async def test_members_come_change_and_go_and_the_last_admin_stays(app: App) -> None:
    project_id = await app.add_project()
    ada, bob = await app.add_user("ada"), await app.add_user("bob")
    path = f"/v1/projects/{project_id}/members"
    async with app.serve() as http:
        status, made = await _ask(http, "POST", path, {"user_id": ada.id, "role": "admin"})
        assert (status, made) == (201, {"user_id": ada.id, "project_id": project_id, "role": "admin"})
        for method, at, body in (
            ("POST", path, {"user_id": ada.id, "role": "viewer"}),
            ("DELETE", f"{path}/{ada.id}", None),
        ):
            status, fault = await _ask(http, method, at, body)
            assert (status, fault["code"]) == (409, "last_admin")
        await _ask(http, "POST", path, {"user_id": bob.id, "role": "admin"})
        assert (await _ask(http, "POST", path, {"user_id": ada.id, "role": "viewer"}))[0] == 201
        assert (await _ask(http, "POST", path, {"user_id": _NOWHERE, "role": "viewer"}))[0] == 404
        assert (await _ask(http, "POST", path, {"user_id": ada.id, "role": "owner"}))[0] == 422
        for _ in range(2):
            assert await _ask(http, "DELETE", f"{path}/{ada.id}") == (200, {"removed": True})
        _, listed = await _ask(http, "GET", path)
        assert [member["user_id"] for member in listed] == [bob.id]


async def test_a_role_that_is_taken_away_is_gone_with_the_next_ask(app: App) -> None:
    project_id = await app.add_project()
    headers = bearer(await app.token_of("ada", project_id=project_id, role=Role.OPERATOR))
    async with app.serve() as http:
        path = f"/v1/projects/{project_id}"
        assert (await _ask(http, "GET", path, headers=headers))[0] == 200
        _, members = await _ask(http, "GET", f"{path}/members")
        await _ask(http, "DELETE", f"{path}/members/{members[0]['user_id']}")
        assert (await _ask(http, "GET", path, headers=headers))[0] == 404


@pytest.mark.parametrize(
    "source",
    [
        {"type": "upload"},
        {"type": "external_image", "image": "nginx:1.27", "credential": None, "registry_id": None, "image_ref": None},
        {
            "type": "git",
            "repo_url": "https://example.com/a.git",
            "git_ref": "main",
            "dockerfile_path": "Dockerfile",
            "context_path": ".",
            "credential": "default",
        },
    ],
)
async def test_a_service_of_each_source_comes_back_as_it_was_sent(app: App, source: dict[str, Any]) -> None:
    project_id = await app.add_project()
    full = service_body(
        project_id,
        source=source,
        domains=["b.example.com", "a.example.com"],
        resource_limits={"cpu_millis": 250, "memory_bytes": 2**40},
        env=[["B", "1"], ["A", ""], ["B", "2"]],
        autoscale={
            "min_replicas": 1,
            "max_replicas": 4,
            "target_cpu_pct": 70,
            "target_mem_pct": None,
            "scale_down_cooldown_s": 60,
            "idle_timeout_s": 600,
        },
        endpoints=[{"name": "db", "protocol": "tcp", "internal_port": 5432, "public_port": 20001}],
    )
    async with app.serve() as http:
        status, made = await _ask(http, "POST", "/v1/services", {**full, "unknown": 1})
        assert status == 200
        assert made == {
            **full,
            "id": made["id"],
            "tls_enabled": False,
            "assigned_hostname": "web-shop.apps.example",
            "replicas": 1,
            "placement": None,
        }
        assert (await _ask(http, "GET", f"/v1/services/{made['id']}"))[1] == made


async def test_a_service_with_a_tcp_endpoint_cannot_scale_to_nothing(app: App) -> None:
    policy = {
        "min_replicas": 0,
        "max_replicas": 4,
        "target_cpu_pct": 70,
        "scale_down_cooldown_s": 60,
        "idle_timeout_s": 600,
    }
    endpoint = {"name": "db", "protocol": "tcp", "internal_port": 5432}
    body = service_body(await app.add_project(), autoscale=policy)
    async with app.serve() as http:
        status, told = await _ask(http, "POST", "/v1/services", {**body, "endpoints": [endpoint]})
        assert status == 400
        assert "connections wake nothing" in told["error"]
        assert (await _ask(http, "POST", "/v1/services", body))[0] == 200


async def test_posting_again_updates_by_id_or_by_name(app: App) -> None:
    project_id = await app.add_project()
    body = service_body(project_id)
    async with app.serve() as http:
        _, made = await _ask(http, "POST", "/v1/services", {**body, "id": "00000000-0000-0000-0000-000000000000"})
        _, by_name = await _ask(http, "POST", "/v1/services", {**body, "internal_port": 81})
        assert (by_name["id"], by_name["internal_port"]) == (made["id"], 81)
        _, by_id = await _ask(http, "POST", "/v1/services", {**body, "id": made["id"], "internal_port": 82})
        assert (by_id["id"], by_id["internal_port"]) == (made["id"], 82)
        path = f"/v1/services/{made['id']}"
        _, put = await _ask(http, "PUT", path, {**body, "internal_port": 83})
        assert (put["id"], put["internal_port"]) == (made["id"], 83)
        assert (await _ask(http, "GET", path))[1] == put
        for wrong in ({"id": _NOWHERE}, {"id": made["id"], "name": "other"}):
            assert (await _ask(http, "POST", "/v1/services", {**body, **wrong}))[0] == 400
        for wrong in ({"id": _NOWHERE}, {"name": "other"}, {"project_id": await app.add_project("other")}):
            assert (await _ask(http, "PUT", path, {**body, **wrong}))[0] == 400
        assert (await _ask(http, "PUT", f"/v1/services/{_NOWHERE}", body))[0] == 404
        assert (await _ask(http, "POST", "/v1/services", {**body, "project_id": _NOWHERE}))[0] == 404
        assert len((await _ask(http, "GET", "/v1/services"))[1]) == 1


async def test_a_client_that_knows_no_placement_leaves_it_and_null_brings_the_default_back(app: App) -> None:
    project_id = await app.add_project()
    async with app.database.write() as tx:
        await NodeStore().add(tx, NODE)
    body = service_body(project_id)
    more: dict[str, Any] = {"replicas": 3, "placement": {"labels": {"zone": "a"}, "nodes": ["vm1", NODE.id]}}
    async with app.serve() as http:
        _, made = await _ask(http, "POST", "/v1/services", {**body, **more})
        assert made["replicas"] == 3
        assert made["placement"] == {**more["placement"], "spread": "prefer"}
        assert (await _ask(http, "POST", "/v1/services", body))[1] == made
        path = f"/v1/services/{made['id']}"
        assert (await _ask(http, "PUT", path, body))[1] == made
        _, apart = await _ask(http, "PUT", path, {**body, "placement": {"spread": "require"}})
        assert (apart["replicas"], apart["placement"]) == (3, {"labels": {}, "nodes": [], "spread": "require"})
        _, plain = await _ask(http, "PUT", path, {**body, "replicas": None, "placement": None})
        assert (plain["replicas"], plain["placement"]) == (1, None)
        for wrong, status in (
            ({"placement": {"nodes": ["vm2"]}}, 400),
            ({"placement": {"spread": "everywhere"}}, 422),
            ({"placement": {"labels": {"a b": "c"}}}, 400),
            ({"replicas": 0}, 400),
            ({"replicas": "3"}, 422),
        ):
            assert (await _ask(http, "PUT", path, {**body, **wrong}))[0] == status
        assert (await _ask(http, "GET", path))[1] == plain


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "a b"}, 400),
        ({"env": [["LD_PRELOAD", "x"]]}, 400),
        ({"env": [["A", REDACTED]]}, 400),
        ({"env": [["A"]]}, 422),
        ({"domains": ["*.example.com"]}, 400),
        ({"internal_port": 0}, 400),
        ({"internal_port": "80"}, 422),
        ({"source": {"type": "magic"}}, 422),
        ({"source": {"type": "external_image", "image": "nginx", "credential": "x"}}, 400),
        ({"source": {"type": "external_image", "image": "127.0.0.1/a"}}, 400),
        ({"source": {"type": "external_image", "image": "", "registry_id": _NOWHERE, "image_ref": "a"}}, 404),
        ({"project_id": "x"}, 422),
        ({"tls_enabled": True, "domains": ["a.example.com"]}, 400),
        ({"resource_limits": {"cpu_millis": 0, "memory_bytes": 2**30}}, 400),
        ({"resource_limits": {"cpu_millis": 500, "memory_bytes": 0}}, 400),
        ({"resource_limits": {"cpu_millis": 500}}, 422),
        ({"domains": ["Web.example.com"]}, 400),
        ({"endpoints": [{"name": "a", "protocol": "http", "internal_port": 80, "public_port": 81}]}, 400),
        ({"health_check": {"path": "/"}}, 422),
    ],
)
async def test_a_service_that_cannot_be_is_refused_and_nothing_is_kept(
    app: App, changes: dict[str, Any], status: int
) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        told, _ = await _ask(http, "POST", "/v1/services", {**service_body(project_id), **changes})
        assert told == status
        assert await _ask(http, "GET", "/v1/services") == (200, [])


async def test_a_hostname_belongs_to_one_service_and_a_clash_keeps_nothing(app: App) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        _, first = await _ask(http, "POST", "/v1/services", service_body(project_id, domains=["a.example.com"]))
        clash = service_body(project_id, name="other", domains=["b.example.com", "a.example.com"])
        status, fault = await _ask(http, "POST", "/v1/services", clash)
        assert (status, fault["code"]) == (409, "hostname_taken")
        assert len((await _ask(http, "GET", "/v1/services"))[1]) == 1
        for mine in ("apps.example.com.apps.example", "x.apps.example"):
            reserved = service_body(project_id, name="other", domains=[mine])
            assert (await _ask(http, "POST", "/v1/services", reserved))[0] == 409
        _, domains = await _ask(http, "GET", f"/v1/services/{first['id']}/domains")
        assert [(each["hostname"], each["status"]) for each in domains] == [
            ("web-shop.apps.example", "verified"),
            ("a.example.com", "pending"),
        ]
        assert len(domains[1]["challenge_token"]) == 64
        assert await _ask(http, "DELETE", f"/v1/services/{first['id']}") == (200, {"deleted": True})
        assert (await _ask(http, "POST", "/v1/services", clash))[0] == 200


async def test_a_public_port_belongs_to_one_service_until_that_is_deleted(app: App) -> None:
    project_id = await app.add_project()
    db: dict[str, Any] = {"name": "db", "protocol": "tcp", "internal_port": 5432, "public_port": None}
    async with app.serve() as http:
        _, first = await _ask(http, "POST", "/v1/services", service_body(project_id, endpoints=[db]))
        assert first["endpoints"] == [{**db, "public_port": 20000}]
        assert (await _ask(http, "GET", f"/v1/services/{first['id']}"))[1] == first
        again = service_body(project_id, endpoints=[{**db, "name": "admin"}, {**db, "internal_port": 5433}])
        _, saved = await _ask(http, "PUT", f"/v1/services/{first['id']}", {**again, "id": first["id"]})
        assert [each["public_port"] for each in saved["endpoints"]] == [20001, 20000]

        clash = service_body(project_id, name="other", endpoints=[{**db, "public_port": 20000}])
        status, fault = await _ask(http, "POST", "/v1/services", clash)
        assert (status, fault["code"]) == (409, "port_taken")
        assert len((await _ask(http, "GET", "/v1/services"))[1]) == 1
        free = service_body(project_id, name="free", endpoints=[db])
        assert (await _ask(http, "POST", "/v1/services", free))[1]["endpoints"][0]["public_port"] == 20002
        assert await _ask(http, "DELETE", f"/v1/services/{first['id']}") == (200, {"deleted": True})
        assert (await _ask(http, "POST", "/v1/services", clash))[0] == 200


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ({"protocol": "tcp", "public_port": 19999}, "from 20000 to 20099"),
        ({"protocol": "udp", "public_port": None}, "udp is not served"),
        ({"protocol": "http", "public_port": None}, "internal_port alone"),
    ],
)
async def test_an_endpoint_that_the_ingress_would_not_serve_is_refused_with_a_reason(
    app: App, endpoint: dict[str, Any], says: str
) -> None:
    project_id = await app.add_project()
    body = service_body(project_id, endpoints=[{"name": "a", "internal_port": 81, **endpoint}])
    async with app.serve() as http:
        status, fault = await _ask(http, "POST", "/v1/services", body)
        assert status == 400
        assert says in str(fault)


async def test_two_services_whose_names_fold_alike_get_hostnames_of_their_own(app: App) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        _, first = await _ask(http, "POST", "/v1/services", service_body(project_id, name="a_b"))
        _, second = await _ask(http, "POST", "/v1/services", service_body(project_id, name="a-b"))
        assert first["assigned_hostname"] == "a-b-shop.apps.example"
        assert second["assigned_hostname"] == f"a-b-shop-{second['id'][-12:]}.apps.example"


async def test_a_deleted_service_is_gone_with_the_next_ask(app: App) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        _, made = await _ask(http, "POST", "/v1/services", service_body(project_id))
        path = f"/v1/services/{made['id']}"
        assert (await _ask(http, "GET", path))[0] == 200
        assert (await _ask(http, "DELETE", path))[0] == 200
        assert (await _ask(http, "GET", path))[0] == 404
        assert (await _ask(http, "DELETE", path))[0] == 404


async def test_an_id_is_read_in_either_case_and_told_in_lowercase(app: App) -> None:
    project_id = await app.add_project()
    ada = await app.add_user("ada")
    async with app.serve() as http:
        _, made = await _ask(http, "POST", "/v1/services", service_body(project_id.upper()))
        assert made["project_id"] == project_id
        body = service_body(project_id, id=made["id"].upper())
        assert (await _ask(http, "PUT", f"/v1/services/{made['id'].upper()}", body)) == (200, made)
        members = f"/v1/projects/{project_id.upper()}/members"
        _, member = await _ask(http, "POST", members, {"user_id": ada.id.upper(), "role": "viewer"})
        assert member == {"user_id": ada.id, "project_id": project_id, "role": "viewer"}
        request = {"source": "external_image", "service_id": made["id"].upper(), "image": "x"}
        _, deployment = await _ask(http, "POST", "/v1/deployments", request)
        assert deployment["service_id"] == made["id"]
        assert deployment["request"]["service_id"] == made["id"]
