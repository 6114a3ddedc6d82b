"""Services as they run, over HTTP: true counts for every service, whoever may see it."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.model.caller import SETUP_CALLER
from controld.model.node import NodeState
from controld.model.placement import Placement
from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import Ground, make_draft, make_ground
from wire.agent.metrics import ReplicaMetrics, ServiceMetrics
from wire.link import ReplicaState

ADMIN = bearer(SETUP_SECRET)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


async def deployed(app: App, **changes: object) -> Ground:
    """Two replicas on two nodes."""
    ground = await make_ground(app, nodes=2)
    draft = dataclasses.replace(make_draft(ground.service.project_id, "web"), replicas=2, **changes)  # type: ignore[arg-type]
    await app.services.put(SETUP_CALLER, draft)
    await ground.make_healthy(await ground.deploy())
    return ground


async def test_replicas_are_counted_and_what_they_use_is_summed(app: App) -> None:
    ground = await deployed(app)
    first, second = await ground.replicas()
    for replica, memory in ((first, 5), (second, 7)):
        metrics = ReplicaMetrics(
            replica_id=replica.id,
            deployment_id=replica.deployment_id,
            index=replica.index,
            recorded_at=NOW,
            memory_current_bytes=memory,
        )
        app.agents.metrics[replica.node_id, ground.service.id] = ServiceMetrics(replicas=(metrics,))
    app.fleet.report(second.node_id, second.id, ReplicaState.UNHEALTHY)
    await app.services.put(SETUP_CALLER, ground.draft("idle"))
    async with app.serve() as http:
        status, told = await ask(http, "GET", "/v1/workloads", headers=ADMIN)
    assert status == 200
    idle, web = told
    assert web == {
        "service_id": ground.service.id,
        "service_name": "web",
        "project_id": ground.service.project_id,
        "deployment_id": first.deployment_id,
        "status": "Healthy",
        "cpu_usage_usec": None,
        "memory_current_bytes": 12,
        "replica_count": 2,
        "healthy_replicas": 1,
        "wanted_replicas": 2,
        "problem": None,
    }
    assert (idle["deployment_id"], idle["status"], idle["replica_count"]) == (None, None, 0)


async def test_a_silent_nodes_replica_is_not_told_as_healthy_and_its_use_is_unknown(app: App) -> None:
    ground = await deployed(app)
    first, _ = await ground.replicas()
    app.fleet.put(first.node_id, NodeState.SUSPECT)
    async with app.serve() as http:
        _, (web,) = await ask(http, "GET", "/v1/workloads", headers=ADMIN)
    assert (web["replica_count"], web["healthy_replicas"], web["memory_current_bytes"]) == (2, 1, None)


async def test_a_service_that_has_no_place_says_why(app: App) -> None:
    ground = await deployed(app)
    draft = dataclasses.replace(ground.draft("web"), replicas=3, placement=Placement(labels={"disk": "ssd"}))
    await app.services.put(SETUP_CALLER, draft)
    await app.deploying.upkeep.reconcile()
    async with app.serve() as http:
        _, (web,) = await ask(http, "GET", "/v1/workloads", headers=ADMIN)
    assert (web["replica_count"], web["wanted_replicas"]) == (2, 3)
    assert web["problem"] == (
        "node node-1 has no label disk, and disk=ssd is wanted; node node-2 has no label disk, and disk=ssd is wanted"
    )


async def test_a_failed_first_deployment_shows_as_the_newest(app: App) -> None:
    ground = await make_ground(app)
    deployment = await ground.deploy()
    async with app.serve() as http:
        _, (web,) = await ask(http, "GET", "/v1/workloads", headers=ADMIN)
        assert (web["deployment_id"], web["status"], web["wanted_replicas"]) == (deployment.id, "Pending", 0)


async def test_only_services_of_the_callers_projects_are_listed(app: App) -> None:
    ground = await deployed(app)
    viewer = bearer(await app.token_of("vera", project_id=ground.service.project_id, role=Role.VIEWER))
    stranger = bearer(await app.token_of("olga", project_id=await app.add_project("other"), role=Role.ADMIN))
    async with app.serve() as http:
        _, seen = await ask(http, "GET", "/v1/workloads", headers=viewer)
        _, hidden = await ask(http, "GET", "/v1/workloads", headers=stranger)
    assert [each["service_name"] for each in seen] == ["web"]
    assert hidden == []
