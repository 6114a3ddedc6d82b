"""Readings of services over HTTP."""

from __future__ import annotations

import datetime as dt

from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import Ground, make_ground
from wire.agent.metrics import ReplicaMetrics, ServiceMetrics

ADMIN = bearer(SETUP_SECRET)


async def deployed(app: App) -> Ground:
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    return ground


async def tell(ground: Ground, **values: int | str | None) -> None:
    """Have the node tell these values of the one replica."""
    (replica,) = await ground.replicas()
    metrics = ReplicaMetrics(
        replica_id=replica.id,
        deployment_id=replica.deployment_id,
        index=0,
        recorded_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        **values,  # type: ignore[arg-type]
    )
    ground.app.agents.metrics[ground.nodes[0], ground.service.id] = ServiceMetrics(replicas=(metrics,))


async def test_a_service_is_one_element_with_its_replicas(app: App) -> None:
    ground = await deployed(app)
    await tell(ground, cpu_usage_usec=5, memory_current_bytes=7, cpu_source="cgroup2", memory_source="procfs", pids=2)
    (replica,) = await ground.replicas()
    async with app.serve() as http:
        status, body = await ask(http, "GET", f"/v1/services/{ground.service.id}/metrics", headers=ADMIN)

    assert status == 200
    assert body == [
        {
            "service_name": "web",
            "cpu_usage_usec": 5,
            "memory_current_bytes": 7,
            "recorded_at": "2026-01-01T00:00:00Z",
            "cpu_limit_millis": 500,
            "memory_limit_bytes": 536870912,
            "replicas": [
                {
                    "replica_id": replica.id,
                    "deployment_id": replica.deployment_id,
                    "index": 0,
                    "node_id": ground.nodes[0],
                    "recorded_at": "2026-01-01T00:00:00Z",
                    "cpu_usage_usec": 5,
                    "cpu_source": "cgroup2",
                    "memory_current_bytes": 7,
                    "memory_source": "procfs",
                    "cpu_limit_millis": 500,
                    "memory_limit_bytes": 536870912,
                    "pids": 2,
                    "oom_kills": None,
                    "restarts": None,
                    "network_received_bytes": None,
                    "network_sent_bytes": None,
                }
            ],
        }
    ]


async def test_what_runs_not_or_cannot_be_read_is_an_empty_list(app: App) -> None:
    ground = await make_ground(app)
    url = f"/v1/services/{ground.service.id}/metrics"
    async with app.serve() as http:
        assert await ask(http, "GET", url, headers=ADMIN) == (200, [])
        await ground.make_healthy(await ground.deploy())
        assert await ask(http, "GET", url, headers=ADMIN) == (200, [])
        await tell(ground, cpu_usage_usec=5)
        assert await ask(http, "GET", url, headers=ADMIN) == (200, [])


async def test_readings_are_for_viewers_and_unknown_to_others(app: App) -> None:
    ground = await deployed(app)
    url = f"/v1/services/{ground.service.id}/metrics"
    viewer = bearer(await app.token_of("vera", project_id=ground.service.project_id, role=Role.VIEWER))
    async with app.serve() as http:
        assert (await ask(http, "GET", url, headers=viewer))[0] == 200
        assert (await ask(http, "GET", url, headers=bearer(await app.token_of("fay"))))[0] == 404
