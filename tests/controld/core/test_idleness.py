"""A service sleeps when every node that leads to it says that nobody asks."""

from __future__ import annotations

import pytest

from tests.controld.app import App
from tests.controld.scaling import SLEEPY, is_asleep, make_autoscaling, make_scaled, put_to_sleep


async def test_a_service_that_nobody_asks_for_sleeps_and_says_so(app: App) -> None:
    scaled, autoscaling = await make_scaled(app, policy=SLEEPY), make_autoscaling(app)
    assert await scaled.count() == 1, "it begins awake"
    await put_to_sleep(scaled, autoscaling)
    assert (await scaled.log())[-1] == "AUTOSCALE from 1 to 0: asked for nothing for 45 s"
    await scaled.pass_ticks(autoscaling, 0, count=3)
    assert len(await scaled.audit()) == 1


@pytest.mark.parametrize(("open_requests", "idle_seconds"), [(1, 999.0), (0, 20.0)])
async def test_what_is_open_or_was_asked_a_moment_ago_keeps_it_awake(
    app: App, open_requests: int, idle_seconds: float
) -> None:
    scaled, autoscaling = await make_scaled(app, policy=SLEEPY), make_autoscaling(app)
    scaled.tell_activity(open_requests=open_requests, idle_seconds=idle_seconds)
    await scaled.pass_ticks(autoscaling, 0, count=8)
    assert await scaled.count() == 1
    assert not await is_asleep(scaled)


async def test_a_node_that_does_not_tell_may_have_requests(app: App) -> None:
    scaled, autoscaling = await make_scaled(app, policy=SLEEPY), make_autoscaling(app)
    (home,) = {replica.node_id for replica in await scaled.running()}
    scaled.tell_activity(idle_seconds=999)
    app.agents.offline = {next(node_id for node_id in scaled.ground.nodes if node_id != home)}
    await scaled.pass_ticks(autoscaling, 0, count=8)
    assert await scaled.count() == 1
    app.agents.offline = set()
    await scaled.pass_ticks(autoscaling, 0)
    assert await scaled.count() == 0
