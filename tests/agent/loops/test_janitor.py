"""The janitor removes what nothing has needed for long enough, and goes on when the engine does not answer."""

from __future__ import annotations

from pathlib import Path

from agent.core.images import Images
from agent.loops.janitor import Janitor
from kit.tasks import Tasks
from tests.agent.core.node import Node
from tests.agent.rules.world import NODE, PORT, make_replica, make_spec
from tests.fakes.holdings import FakeHoldings
from wire.spec import NodeSpec, Origin

REPOSITORY = f"127.0.0.1:{PORT}/shop/web"


async def _build(node: Node, number: int) -> str:
    tag = f"{REPOSITORY}:deployment-{number}"
    async for _ in node.engine.build_image(
        Path("/nowhere"), dockerfile="Dockerfile", tag=tag, labels={}, cpu_millis=100, memory_bytes=1
    ):
        pass
    await node.clock.advance(1)
    return tag


def _make_janitor(node: Node, spec: NodeSpec | None) -> Janitor:
    images = Images(node.engine, FakeHoldings(), clock=node.clock, node_id=NODE, registry_port=PORT)
    images.attach(spec=lambda: spec, in_work=tuple)
    return Janitor(
        images,
        clock=node.clock,
        kept=1,
        idle_seconds=3600,
        pace_seconds=600,
    )


async def test_old_images_go_once_nothing_has_needed_them_for_an_hour() -> None:
    node = Node()
    first, second, third = [await _build(node, number) for number in (1, 2, 3)]
    spec = make_spec(make_replica("r1", image="shop/web:deployment-1", origin=Origin.HOSTED))
    node.engine.add_image("somebody/else:1")
    tasks = Tasks("test")
    tasks.start("janitor", _make_janitor(node, spec).run())
    await node.clock.advance(3500)
    assert second in node.engine.images
    await node.engine.set_down(True)
    await node.clock.advance(600)
    await node.engine.set_down(False)
    await node.clock.advance(600)
    await tasks.close()
    assert set(node.engine.images) == {first, third, "somebody/else:1"}


async def test_without_a_spec_every_image_stays() -> None:
    node = Node()
    tags = {await _build(node, number) for number in (1, 2, 3)}
    tasks = Tasks("test")
    tasks.start("janitor", _make_janitor(node, None).run())
    await node.clock.advance(9000)
    await tasks.close()
    assert set(node.engine.images) == tags
