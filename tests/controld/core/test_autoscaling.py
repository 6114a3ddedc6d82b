"""Services follow their load: one controld decides, what is not read changes nothing, and a deployment goes first."""

from __future__ import annotations

import dataclasses

import pytest

from controld.model.caller import SETUP_CALLER
from controld.rules.placement import Promise
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import Ground
from tests.controld.scaling import LIMITS, POLICY, make_autoscaling, make_scaled
from wire.agent.metrics import ServiceMetrics
from wire.link import ReplicaState
from wire.spec import Wanted


async def test_load_brings_more_at_once_and_quiet_takes_them_back_after_the_cooldown(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 90)
    assert await scaled.count() == 1, "one reading says nothing of CPU"
    await scaled.pass_ticks(autoscaling, 90)
    assert await scaled.count() == 2
    await scaled.pass_ticks(autoscaling, 90, count=2)
    assert await scaled.count() == 4, "the new one was read twice by now"
    await scaled.pass_ticks(autoscaling, 5, count=5)
    assert await scaled.count() == 4, "the cooldown is not over"
    await scaled.pass_ticks(autoscaling, 5)
    (left,) = await scaled.running()
    assert left.index == 0, "the highest go first"
    draining = [each for each in await scaled.ground.replicas() if each.wanted is Wanted.DRAINING]
    assert [each.index for each in draining] == [1, 2, 3]


async def test_each_change_is_in_the_audit_and_in_the_deployments_log(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 90, count=2)
    (record,) = await scaled.audit()
    assert record.actor == {"kind": "platform"}
    assert (record.object_id, record.project_id) == (scaled.ground.service.id, scaled.ground.service.project_id)
    assert record.details == {"name": "web", "from": 1, "to": 2, "why": "cpu at 90 %, 50 % is aimed at"}
    assert (await scaled.log())[-1] == "AUTOSCALE from 1 to 2: cpu at 90 %, 50 % is aimed at"


async def test_one_controld_decides_and_another_goes_on_when_it_dies(app: App) -> None:
    scaled, first, second = await make_scaled(app), make_autoscaling(app), make_autoscaling(app)
    await scaled.pass_ticks(first, 90)
    for _ in range(3):
        await scaled.pass_ticks(second, 90)
        assert await scaled.count() == 1, "the first has the lease"
    await scaled.pass_ticks(second, 90, count=2)
    assert await scaled.count() == 2, "its lease has ended"
    await scaled.pass_ticks(first, 90, count=3)
    assert await scaled.count() == 2
    await second.release()
    await scaled.pass_ticks(first, 90, count=2)
    assert await scaled.count() == 4


async def test_a_restart_keeps_the_count_and_begins_the_cooldown_anew(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 90, count=2)
    await scaled.pass_ticks(autoscaling, 5, count=4)
    await autoscaling.release()
    again = make_autoscaling(app)
    await scaled.pass_ticks(again, 5, count=5)
    assert await scaled.count() == 2
    await scaled.pass_ticks(again, 5)
    assert await scaled.count() == 1


async def test_a_node_that_tells_nothing_is_never_read_as_idle(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 90, count=2)
    homes = {replica.node_id for replica in await scaled.running()}
    assert len(homes) == 2
    app.agents.offline = {max(homes)}
    await scaled.pass_ticks(autoscaling, 0, count=10)
    assert await scaled.count() == 2
    app.agents.offline = set()
    await scaled.pass_ticks(autoscaling, 0, count=5)
    assert await scaled.count() == 2, "the cooldown begins when it is known that fewer would do"
    await scaled.pass_ticks(autoscaling, 0)
    assert await scaled.count() == 1


async def test_nothing_scales_while_a_deployment_is_under_way(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 10)
    deployment = await scaled.ground.deploy()
    await scaled.pass_ticks(autoscaling, 95, count=3)
    assert await scaled.audit() == []
    await scaled.ground.make_healthy(deployment)
    await scaled.pass_ticks(autoscaling, 95, count=2)
    assert [record.details["to"] for record in await scaled.audit()] == [2]


async def test_a_deployment_brings_as_many_as_the_load_called_for(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 90, count=4)
    assert await scaled.count() == 4
    deployment = await scaled.ground.deploy()
    for _ in range(10):
        if (await scaled.ground.advance(deployment)).is_finished:
            break
        await scaled.ground.report(deployment, ReplicaState.HEALTHY)
    assert await scaled.ground.running() == [deployment.id] * 4


async def test_where_no_node_has_room_the_service_says_so_and_keeps_what_runs(app: App) -> None:
    scaled = await make_scaled(app, nodes=1)
    headroom = Promise(headroom_cpu_millis=2000, cpu_percent=100, memory_percent=100)
    autoscaling = make_autoscaling(app, headroom=headroom)
    await scaled.pass_ticks(autoscaling, 100, count=6)
    assert await scaled.count() == 2
    async with app.serve() as http:
        _, (told,) = await ask(http, "GET", "/v1/workloads", headers=bearer(SETUP_SECRET))
    assert told["wanted_replicas"] == 2
    assert told["problem"] == (
        "insufficient_capacity: 4 replicas are called for (cpu at 100 %, 50 % is aimed at) and there is room for 2: "
        "node node-1 has 0 of 2000 millicores left and 1000 are needed"
    )
    lines = [line for line in await scaled.log() if line.startswith("AUTOSCALE")]
    assert [line.split(":")[0] for line in lines] == ["AUTOSCALE from 1 to 2", "AUTOSCALE insufficient_capacity"]
    await scaled.pass_ticks(autoscaling, 40)
    async with app.serve() as http:
        _, (told,) = await ask(http, "GET", "/v1/workloads", headers=bearer(SETUP_SECRET))
    assert told["problem"] is None


async def test_other_services_are_no_part_of_the_headroom(app: App) -> None:
    scaled = await make_scaled(app, nodes=1)
    other = await app.services.put(
        SETUP_CALLER, dataclasses.replace(scaled.ground.draft("plain"), resource_limits=LIMITS)
    )
    beside = Ground(app, other, scaled.ground.nodes)
    await beside.make_healthy(await beside.deploy())
    headroom = Promise(headroom_cpu_millis=2000, cpu_percent=100, memory_percent=100)
    await scaled.pass_ticks(make_autoscaling(app, headroom=headroom), 90, count=2)
    assert await scaled.count() == 2


async def test_another_policy_holds_the_count_within_its_bounds_for_good(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 90, count=4)
    assert await scaled.count() == 4
    await scaled.put(dataclasses.replace(POLICY, max_replicas=2))
    assert await scaled.count() == 2
    await scaled.put(POLICY)
    assert await scaled.count() == 2
    await scaled.put(dataclasses.replace(POLICY, min_replicas=3))
    assert await scaled.count() == 3
    await scaled.put(None, replicas=2)
    await scaled.pass_ticks(autoscaling, 100, count=4)
    assert await scaled.count() == 2, "without a policy the load says nothing"
    await scaled.put(POLICY)
    assert await scaled.count() == 1, "a policy that was taken away left nothing behind"


async def test_what_somebody_changes_meanwhile_is_left_to_the_next_tick(app: App) -> None:
    scaled, autoscaling = await make_scaled(app), make_autoscaling(app)
    await scaled.pass_ticks(autoscaling, 90)
    agents, changed = app.agents, False

    async def change_while_asked(node: object, service_id: str | None) -> ServiceMetrics:
        nonlocal changed
        if not changed:
            changed = True
            await scaled.put(dataclasses.replace(POLICY, max_replicas=1))
        return await type(agents).fetch_metrics(agents, node, service_id)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents, "fetch_metrics", change_while_asked)
        await scaled.pass_ticks(autoscaling, 90, count=3)
    assert changed
    assert await scaled.count() == 1
    assert await scaled.audit() == []
