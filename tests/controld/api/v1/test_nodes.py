"""The rows of nodes on `/v1`."""

from __future__ import annotations

import dataclasses

from controld.model.role import Role
from controld.store.nodes import NodeStore
from tests.controld.app import SETUP_SECRET, App, bearer
from tests.controld.store.test_nodes import NODE, NOW
from wire.control.enrolment import decode_join_token

ADMIN = bearer(SETUP_SECRET)


async def add_nodes(app: App) -> None:
    async with app.database.write() as tx:
        await NodeStore().add(tx, NODE)
        await NodeStore().add(tx, dataclasses.replace(NODE, id=NODE.id[:-1] + "2", name="vm2", heard_at=NOW))


async def test_nodes_are_listed_with_when_they_were_last_heard(app: App) -> None:
    await add_nodes(app)
    async with app.serve() as http:
        async with http.get("/v1/nodes", headers=ADMIN) as answer:
            listed = await answer.json()
        async with http.get(f"/v1/nodes/{NODE.id}", headers=ADMIN) as answer:
            one = await answer.json()
    assert [(node["name"], node["heard_at"]) for node in listed] == [("vm1", None), ("vm2", "2026-01-01T00:00:00Z")]
    assert one == listed[0]
    assert one == {
        "id": NODE.id,
        "name": "vm1",
        "state": "joining",
        "labels": {"zone": "a"},
        "address": "10.0.0.1",
        "port": 7190,
        "heard_at": None,
        "agent_version": None,
        "certificate_expires_at": "2026-04-01T00:00:00Z",
        "created_at": "2026-01-01T00:00:00Z",
    }


async def test_a_join_token_is_shown_once_with_its_end(app: App) -> None:
    await add_nodes(app)
    async with app.serve() as http:
        for body in ({}, {"node_id": NODE.id}):
            async with http.post("/v1/nodes/join-tokens", headers=ADMIN, json=body) as answer:
                made = await answer.json()
                assert answer.status == 201
                assert decode_join_token(made["token"]).url == "https://127.0.0.1:7181"
                assert made["expires_at"] == "2026-01-01T00:15:00Z"
        async with http.post("/v1/nodes/join-tokens", headers=ADMIN, json={"node_id": NODE.id[:-1] + "9"}) as answer:
            assert answer.status == 404


async def test_a_removed_node_is_gone(app: App) -> None:
    await add_nodes(app)
    async with app.serve() as http:
        async with http.delete(f"/v1/nodes/{NODE.id}", headers=ADMIN) as answer:
            assert (answer.status, await answer.json()) == (200, {"deleted": True})
        async with http.delete(f"/v1/nodes/{NODE.id}?force=true", headers=ADMIN) as answer:
            assert answer.status == 404
        async with http.get(f"/v1/nodes/{NODE.id}", headers=ADMIN) as answer:
            assert answer.status == 404


async def test_nodes_are_for_super_admins_alone(app: App) -> None:
    token = bearer(await app.token_of("amy", project_id=await app.add_project(), role=Role.ADMIN))
    async with app.serve() as http:
        for method, path in (
            ("GET", "/v1/nodes"),
            ("GET", f"/v1/nodes/{NODE.id}"),
            ("DELETE", f"/v1/nodes/{NODE.id}"),
            ("POST", "/v1/nodes/join-tokens"),
        ):
            async with http.request(method, path, headers=token, json={} if method == "POST" else None) as answer:
                assert answer.status == 403
