"""Readings of services over HTTP."""

from __future__ import annotations

import datetime as dt

import pytest

from controld.model.role import Role
from kit.clock import SystemClock
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import Ground, make_ground
from wire.agent.history import HostHistory, ReplicaHistory, ServiceHistory
from wire.agent.metrics import DeviceIo, ReplicaMetrics, ServiceMetrics

ADMIN = bearer(SETUP_SECRET)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


async def deployed(app: App) -> Ground:
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    return ground


async def tell(ground: Ground, **values: object) -> None:
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
    await tell(
        ground,
        cpu_usage_usec=5,
        memory_current_bytes=7,
        cpu_source="cgroup2",
        memory_source="procfs",
        pids=2,
        io_devices=(DeviceIo(device="8:0", read_bytes=1, written_bytes=2),),
        io_source="cgroup2",
        cpu_throttled_usec=3,
    )
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
                    "network_source": None,
                    "cpu_user_usec": None,
                    "cpu_system_usec": None,
                    "cpu_throttled_usec": 3,
                    "memory_peak_bytes": None,
                    "memory_anon_bytes": None,
                    "memory_file_bytes": None,
                    "memory_kernel_bytes": None,
                    "swap_bytes": None,
                    "io_devices": [{"device": "8:0", "read_bytes": 1, "written_bytes": 2}],
                    "io_source": "cgroup2",
                    "cpu_pressure_usec": None,
                    "memory_pressure_usec": None,
                    "io_pressure_usec": None,
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


async def test_since_or_step_ask_for_what_was_used_lately_and_a_silent_node_is_named(app: App) -> None:
    ground = await deployed(app)
    (replica,) = await ground.replicas()
    node_id = ground.nodes[0]
    ground.app.agents.histories[node_id, ground.service.id] = ServiceHistory(
        step_seconds=60,
        fields=("cpu_millis", "memory_bytes"),
        replicas=(
            ReplicaHistory(
                replica_id=replica.id,
                deployment_id=replica.deployment_id,
                index=0,
                points=((1_767_225_600, (2.5, None)), (1_767_225_660, (None, 7.0))),
            ),
        ),
    )
    url = f"/v1/services/{ground.service.id}/metrics"
    async with app.serve() as http:
        status, body = await ask(http, "GET", f"{url}?since=2026-01-01T00:00:00Z&step=60", headers=ADMIN)
        bad, _ = await ask(http, "GET", f"{url}?step=0", headers=ADMIN)
        del ground.app.agents.histories[node_id, ground.service.id]
        silent, nothing = await ask(http, "GET", f"{url}?step=10", headers=ADMIN)

    assert (status, bad, silent) == (200, 400, 200)
    assert (body["service_name"], body["since"], body["step_seconds"]) == ("web", "2026-01-01T00:00:00Z", 60)
    assert body["unreachable"] == []
    (told,) = body["replicas"]
    assert (told["replica_id"], told["node_id"]) == (replica.id, node_id)
    assert [(p["recorded_at"], p["cpu_millis"], p["memory_bytes"], p["pids"]) for p in told["points"]] == [
        ("2026-01-01T00:00:00Z", 2.5, None, None),
        ("2026-01-01T00:01:00Z", None, 7.0, None),
    ]
    assert nothing["replicas"] == []
    assert len(nothing["unreachable"]) == 1
    assert "tells no past" in nothing["unreachable"][0]


async def test_a_node_tells_super_admins_what_it_used_or_why_it_does_not_tell(app: App) -> None:
    ground = await deployed(app)
    node_id = ground.nodes[0]
    ground.app.agents.host_histories[node_id] = HostHistory(
        step_seconds=10, fields=("cpu_millis", "load_1m"), points=((1_767_225_600, (2.5, 0.5)),)
    )
    async with app.serve() as http:
        status, body = await ask(http, "GET", f"/v1/nodes/{node_id}/metrics", headers=ADMIN)
        missing, _ = await ask(http, "GET", f"/v1/nodes/{ground.service.id}/metrics", headers=ADMIN)
        del ground.app.agents.host_histories[node_id]
        offline, word = await ask(http, "GET", f"/v1/nodes/{node_id}/metrics?step=60", headers=ADMIN)

    assert (status, missing, offline) == (200, 404, 200)
    assert (body["node_id"], body["step_seconds"]) == (node_id, 10)
    assert [(p["recorded_at"], p["cpu_millis"], p["memory_used_bytes"]) for p in body["points"]] == [
        ("2026-01-01T00:00:00Z", 2.5, None)
    ]
    assert (word["points"], body["unreachable"]) == ([], [])
    assert "tells no past" in word["unreachable"][0]


async def test_since_is_a_moment_or_so_long_ago_for_services_and_nodes(app: App) -> None:
    ground = await deployed(app)
    node_id = ground.nodes[0]
    nothing = ServiceHistory(step_seconds=10, fields=(), replicas=())
    ground.app.agents.histories[node_id, ground.service.id] = nothing
    ground.app.agents.host_histories[node_id] = HostHistory(step_seconds=10, fields=(), points=())
    absolute = {"2026-01-01T01:00:00%2B01:00": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "1970-01-01T00:00:00Z": EPOCH}
    back = {"5m": dt.timedelta(minutes=5), "1h30m": dt.timedelta(minutes=90)}
    async with app.serve() as http:

        async def read(path: str, since: str) -> dt.datetime:
            status, body = await ask(http, "GET", f"{path}/metrics?since={since}", headers=ADMIN)
            assert status == 200, body
            return dt.datetime.fromisoformat(body["since"])

        for path in (f"/v1/services/{ground.service.id}", f"/v1/nodes/{node_id}"):
            for since, moment in absolute.items():
                assert await read(path, since) == moment
            for since, ago in back.items():
                before = SystemClock().now()
                assert before <= await read(path, since) + ago <= SystemClock().now()


@pytest.mark.parametrize("since", ["", "yesterday", "5", "-5m", "2026-01-01", "2026-01-01T00:00:00"])
async def test_since_that_is_neither_is_told_in_the_words_of_logs(app: App, since: str) -> None:
    ground = await deployed(app)
    service = f"/v1/services/{ground.service.id}"
    async with app.serve() as http:
        told = [
            await ask(http, "GET", f"{path}?since={since}", headers=ADMIN)
            for path in (f"{service}/logs", f"{service}/metrics", f"/v1/nodes/{ground.nodes[0]}/metrics")
        ]
    assert told[0][0] == 400
    assert told[1:] == [told[0]] * 2
