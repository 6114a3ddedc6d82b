"""What the node looks at and what it does without: an engine that hangs, and a proxy where nothing changes."""

from __future__ import annotations

import asyncio

from agent.core.faults import EngineUnavailable
from agent.model.engine import Container
from agent.model.ingress import IngressObserved, Process
from agent.model.replica import Obstacle, Probed
from tests.agent.core.node import running_node
from tests.agent.rules.world import make_replica, make_spec
from wire.link import ReplicaState

PAIR = make_spec(make_replica("r1"), make_replica("r2"))
IMAGE = "sha256:aa"


async def _hang() -> tuple[Container, ...]:
    await asyncio.Event().wait()
    raise AssertionError("it never ends")


async def test_a_node_at_rest_only_asks_whether_the_proxy_is_the_same_and_sweeps_seldom() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR, seconds=60)
        observed, identified, listed = 0, 0, 0
        observe, identify, list_containers = node.ingress.observe, node.ingress.identify, node.engine.list_containers

        async def counted_observe() -> IngressObserved:
            nonlocal observed
            observed += 1
            return await observe()

        async def counted_identify() -> Process:
            nonlocal identified
            identified += 1
            return await identify()

        async def counted_list() -> tuple[Container, ...]:
            nonlocal listed
            listed += 1
            return await list_containers()

        node.ingress.observe = counted_observe  # type: ignore[method-assign]
        node.ingress.identify = counted_identify  # type: ignore[method-assign]
        node.engine.list_containers = counted_list  # type: ignore[method-assign]
        await node.clock.advance(600)
        assert 19 <= listed <= 21
        # To identify is to observe in the fake.
        assert 19 <= observed - identified <= 21
        assert 250 <= identified <= 300


async def test_while_the_engine_hangs_what_is_unhealthy_leaves_rotation_and_its_silence_is_told() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR)
        sick = await node.container("r1")
        node.engine.list_containers = _hang  # type: ignore[method-assign]
        await node.clock.advance(40)
        assert node.convergence.engine_part is not None
        assert node.convergence.engine_part.detail.endswith("the container engine has not answered for 2 s")
        node.probe.outcomes[str(sick.ip)] = Probed(obstacle=Obstacle.STATUS, detail="503")
        await node.clock.advance(9)
        assert set(await node.ready()) == {"r2"}


async def test_an_engine_that_leaves_one_thing_unanswered_is_named_on_its_replica_until_it_answers() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        starting = node.engine.start_container

        async def hang(container_id: str) -> None:
            await node.clock.sleep(1)
            raise EngineUnavailable("cannot reach the container engine to start it: no answer within 30 s")

        node.engine.start_container = hang  # type: ignore[method-assign]
        await node.follow(PAIR)
        report = node.report("r1")
        assert (report.state, report.reason) == (
            ReplicaState.STARTING,
            "cannot reach the container engine to start it: no answer within 30 s",
        )
        assert node.convergence.engine_part is not None
        assert node.convergence.engine_part.ok
        node.engine.start_container = starting  # type: ignore[method-assign]
        await node.clock.advance(5)
        assert node.report("r1").reason is None
        assert node.convergence.converged
