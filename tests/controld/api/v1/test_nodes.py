"""The rows of nodes on `/v1`."""

from __future__ import annotations

import dataclasses

from controld.model.audit import AuditQuery
from controld.model.caller import SETUP_CALLER
from controld.model.node import NodeState
from controld.model.page import Page
from controld.model.report import NodeReport
from controld.model.role import Role
from controld.store.nodes import NodeStore
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import make_ground
from tests.controld.store.test_nodes import NODE, NOW
from wire.control.enrolment import decode_join_token
from wire.link import HostReport, Part, ReplicaReport, ReplicaState

ADMIN = bearer(SETUP_SECRET)
HOST = HostReport(
    cpu_user_jiffies=1,
    cpu_nice_jiffies=2,
    cpu_system_jiffies=3,
    cpu_idle_jiffies=4,
    cpu_iowait_jiffies=5,
    cpu_count=2,
    memory_total_bytes=2**31,
    memory_available_bytes=2**30,
    load_1m=0.5,
    load_5m=0.25,
    load_15m=0.125,
    disk_total_bytes=8,
    disk_available_bytes=9,
    recorded_at=NOW,
)


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
    assert one == {**listed[0], "host": None, "cpu_count": None, "replicas": []}
    assert listed[0] == {
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
        "engine": None,
        "ingress": None,
        "converged": None,
        "capacity": {
            "promisable_cpu_millis": None,
            "promisable_memory_bytes": None,
            "promised_cpu_millis": 0,
            "promised_memory_bytes": 0,
            "replicas": 0,
        },
    }


async def test_a_node_shows_its_parts_its_room_and_what_is_placed_on_it(app: App) -> None:
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    (replica,) = await ground.replicas()
    report = ReplicaReport(id=replica.id, state=ReplicaState.UNHEALTHY, since_at=NOW, reason="it answers 500")
    app.reports.nodes[ground.nodes[0]] = NodeReport(
        node_id=ground.nodes[0],
        heard_at=NOW,
        converged=True,
        replicas=(report,),
        host=HOST,
        engine=Part(ok=True, detail="20.10.24"),
        ingress=Part(ok=False, detail="no answer"),
    )
    async with app.serve() as http:
        _, one = await ask(http, "GET", f"/v1/nodes/{ground.nodes[0]}", headers=ADMIN)
    assert one["engine"] == {"ok": True, "detail": "20.10.24"}
    assert one["ingress"] == {"ok": False, "detail": "no answer"}
    assert (one["converged"], one["cpu_count"], one["host"]["memory_total_bytes"]) == (True, 2, 2**31)
    assert one["capacity"] == {
        "promisable_cpu_millis": 20_000,
        "promisable_memory_bytes": 3 * (2**31 - 256 * 2**20),
        "promised_cpu_millis": 500,
        "promised_memory_bytes": 512 * 2**20,
        "replicas": 1,
    }
    assert one["replicas"] == [
        {
            "id": replica.id,
            "service_id": ground.service.id,
            "service": "shop/web",
            "deployment_id": replica.deployment_id,
            "index": 0,
            "wanted": "running",
            "state": "unhealthy",
            "since_at": "2026-01-01T00:00:00Z",
            "reason": "it answers 500",
            "waits_for": None,
        }
    ]


async def test_a_node_drains_is_drained_and_is_taken_into_use_again(app: App) -> None:
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    (node_id,) = ground.nodes
    async with app.serve() as http:
        status, node = await ask(http, "POST", f"/v1/nodes/{node_id}/drain", headers=ADMIN)
        assert (status, node["state"]) == (202, "draining")
        app.fleet.put(node_id, NodeState.DRAINING)
        await app.deploying.upkeep.reconcile()
        _, node = await ask(http, "GET", f"/v1/nodes/{node_id}", headers=ADMIN)
        assert node["state"] == "draining"
        assert node["replicas"][0]["waits_for"].startswith("node node-1 is draining, last heard at ")
        await app.services.delete(SETUP_CALLER, ground.service.id)
        await app.deploying.upkeep.reconcile()
        for _ in range(2):
            _, node = await ask(http, "POST", f"/v1/nodes/{node_id}/drain", headers=ADMIN)
            assert node["state"] == "drained"
        for _ in range(2):
            status, node = await ask(http, "POST", f"/v1/nodes/{node_id}/undrain", headers=ADMIN)
            assert (status, node["state"]) == (200, "ready")
    async with app.database.read() as tx:
        found = await app.audit_store.list(tx, AuditQuery(object_kind="node"), page=Page(limit=9))
    assert [record.action for record in found] == ["node.undrain", "node.drain"]


async def test_a_drained_node_that_is_heard_again_stays_drained(app: App) -> None:
    await add_nodes(app)
    for state in (NodeState.DRAINING, NodeState.DRAINED):
        await app.nodes.drain(SETUP_CALLER, NODE.id)
        if state is NodeState.DRAINED:
            await app.deploying.upkeep.reconcile()
            app.fleet.put(NODE.id, NodeState.DRAINING)
            await app.deploying.upkeep.reconcile()
        await app.nodes.note_link(NODE.id, serial="aa", agent_version="1", wire_version=1)
        assert (await app.nodes.get(SETUP_CALLER, NODE.id)).state is state


async def test_labels_are_replaced_by_put_and_changed_by_patch(app: App) -> None:
    await add_nodes(app)
    path = f"/v1/nodes/{NODE.id}/labels"
    async with app.serve() as http:
        _, node = await ask(http, "PATCH", path, {"labels": {"disk": "ssd", "rack": ""}}, headers=ADMIN)
        assert node["labels"] == {"zone": "a", "disk": "ssd", "rack": ""}
        _, node = await ask(http, "PATCH", path, {"labels": {"zone": None, "nothing": None}}, headers=ADMIN)
        assert node["labels"] == {"disk": "ssd", "rack": ""}
        _, node = await ask(http, "PUT", path, {"labels": {"zone": "b"}}, headers=ADMIN)
        assert node["labels"] == {"zone": "b"}
        for labels in ({"": "x"}, {"a b": "x"}, {"a": "b c"}, {"a": "x" * 64}, {f"l{n}": "" for n in range(65)}):
            for method in ("PUT", "PATCH"):
                assert (await ask(http, method, path, {"labels": labels}, headers=ADMIN))[0] == 400
        _, node = await ask(http, "GET", f"/v1/nodes/{NODE.id}", headers=ADMIN)
        assert node["labels"] == {"zone": "b"}
        for change in ("drain", "undrain"):
            missing = f"/v1/nodes/{NODE.id[:-1]}9/{change}"
            assert (await ask(http, "POST", missing, headers=ADMIN))[0] == 404


async def test_a_node_with_replicas_is_removed_by_force_alone(app: App) -> None:
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    path = f"/v1/nodes/{ground.nodes[0]}"
    async with app.serve() as http:
        status, told = await ask(http, "DELETE", path, headers=ADMIN)
        assert (status, told["code"]) == (409, "node_in_use")
        assert (await ask(http, "DELETE", f"{path}?force=true", headers=ADMIN))[0] == 200


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
            ("POST", f"/v1/nodes/{NODE.id}/drain"),
            ("POST", f"/v1/nodes/{NODE.id}/undrain"),
            ("PUT", f"/v1/nodes/{NODE.id}/labels"),
            ("PATCH", f"/v1/nodes/{NODE.id}/labels"),
        ):
            body: dict[str, object] | None = {"labels": {}} if method in {"POST", "PUT", "PATCH"} else None
            async with http.request(method, path, headers=token, json=body) as answer:
                assert answer.status == 403
