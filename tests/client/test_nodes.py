"""An operator sees the nodes, sets one aside and says how many replicas run, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from client import nodes
from client.opening import open_api
from controld.model.node import NodeState
from kit.faults import Invalid
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from wire.control.enrolment import decode_join_token


@pytest.fixture
async def ground(app: App) -> Ground:
    """A service with one replica on one of two nodes."""
    ground = await make_ground(app, nodes=2)
    await ground.make_healthy(await ground.deploy())
    return ground


async def test_nodes_are_labelled_and_listed(ground: Ground, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await nodes.label_node(config, "node-1", ["disk=ssd", "zone=a"])
    await nodes.label_node(config, ground.nodes[0], ["zone-"])
    assert capsys.readouterr().out == "disk=ssd\nzone=a\ndisk=ssd\n"
    await nodes.show_nodes(config)
    listed = capsys.readouterr().out.splitlines()
    assert listed[0] == f"node-1\tready\t2026-01-01 00:00:00\tdisk=ssd\t{ground.nodes[0]}"
    with pytest.raises(Invalid):
        await nodes.label_node(config, "node-1", ["disk"])
    with pytest.raises(nodes.NoSuchNode):
        await nodes.drain_node(config, "node-9")


async def test_a_join_token_is_all_that_is_printed_and_can_be_for_a_node_that_was_lost(
    ground: Ground, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (None, "node-1"):
        await nodes.make_join_token(config, name)
        printed = capsys.readouterr()
        assert decode_join_token(printed.out.strip()).url
        assert printed.err == "it serves once, until 2026-01-01 00:15:00 UTC\n"
    with pytest.raises(nodes.NoSuchNode):
        await nodes.make_join_token(config, "node-9")


async def test_a_node_is_set_aside_and_tells_what_has_to_leave_it(
    app: App, ground: Ground, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (replica,) = await ground.replicas()
    for node_id in ground.nodes:
        app.fleet.put(node_id, NodeState.DRAINING)
        await nodes.drain_node(config, node_id)
    await app.deploying.upkeep.reconcile()
    capsys.readouterr()
    await nodes.drain_node(config, replica.node_id)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(" is draining")
    assert second.startswith("shop/web\t0\trunning: node node-1 is draining")
    await nodes.undrain_node(config, replica.node_id)
    assert capsys.readouterr().out.endswith(" is ready\n")


async def test_scaling_leaves_the_rest_of_a_service_as_it_is(
    app: App, ground: Ground, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await nodes.scale_service(config, "shop/web", 3)
    assert capsys.readouterr().out == "web is to run 3 replicas\n"
    async with app.database.read() as tx:
        service = await app.service_store.get(tx, ground.service.id)
    assert service is not None
    assert (service.replicas, service.internal_port, service.env) == (3, ground.service.internal_port, ())


async def test_workloads_are_told_and_a_node_is_removed_by_force(app: App, ground: Ground, config: Path) -> None:
    (replica,) = await ground.replicas()
    async with open_api(config) as api:
        (workload,) = await api.list_workloads()
        assert (workload.service_name, workload.replica_count, workload.healthy_replicas) == ("web", 1, 1)
        await api.delete_node(replica.node_id, force=True)
        assert [node.id for node in await api.list_nodes()] == [
            each for each in ground.nodes if each != replica.node_id
        ]
