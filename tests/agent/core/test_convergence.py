"""The convergence makes specs true, keeps them true through every mishap, and says honestly how it stands."""

from __future__ import annotations

import asyncio

from agent.core.faults import PullFailed
from agent.model.engine import Container, ContainerSpec, ContainerState, Image
from agent.model.replica import Obstacle, Probed
from kit.tasks import Tasks
from tests.agent.core.node import Node, running_node
from tests.agent.rules.world import make_replica, make_spec
from tests.fakes.engine import FakeEngine
from wire.link import Part, ReplicaState
from wire.spec import NodeSpec, Origin, Wanted, compute_digest

PAIR = make_spec(make_replica("r1"), make_replica("r2"))
IMAGE = "sha256:aa"


async def test_replicas_become_healthy_and_take_traffic_and_the_node_says_so_at_once() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR)
        assert [report.state for report in node.convergence.reports()] == [ReplicaState.HEALTHY] * 2
        container = await node.container("r1")
        assert node.report("r1").address == f"{container.ip}:8080"
        assert node.report("r1").image_bytes == 1_000_000
        assert set(await node.ready()) == {"r1", "r2"}
        assert node.convergence.converged
        assert node.convergence.applied_digest == compute_digest(PAIR)
        assert node.engine.networks == {"moorage-test"}
        told = node.notices
        await node.clock.advance(60)
        assert node.notices == told, "nothing changed, so nothing is told"


async def test_a_spec_is_written_down_before_anything_is_done_for_it() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        node.file.full = True
        await node.follow(PAIR)
        assert node.convergence.applied_digest is None
        assert await node.engine.list_containers() == ()
        assert "disk is full" in node.happenings[0].message
        node.file.full = False
        await node.follow(PAIR)
        assert node.convergence.converged


async def test_a_spec_on_disk_is_followed_without_any_controld() -> None:
    async with running_node() as first:
        first.file.held = (compute_digest(PAIR), PAIR)
        first.engine.add_image(IMAGE)
        first.convergence.wake()
    async with running_node(first) as node:
        await node.clock.advance(5)
        assert node.convergence.converged


async def test_without_a_spec_nothing_is_touched_and_a_garbled_one_waits_for_controld() -> None:
    async with running_node() as first:
        first.engine.add_image(IMAGE)
        await first.follow(PAIR)
    first.file.garbled = True
    async with running_node(first) as node:
        await node.clock.advance(60)
        assert len(await node.engine.list_containers()) == 2
        assert set(await node.ready()) == {"r1", "r2"}
        await node.follow(PAIR)
        assert node.convergence.converged


async def test_a_spec_for_another_node_is_refused() -> None:
    async with running_node() as node:
        await node.follow(NodeSpec(node_id="someone-else"))
        assert node.convergence.applied_digest is None
        assert "another" in node.happenings[0].message or "someone-else" in node.happenings[0].message


async def test_an_agent_that_starts_anew_adopts_what_runs_and_never_takes_it_out_of_rotation() -> None:
    async with running_node() as first:
        first.engine.add_image(IMAGE)
        await first.follow(PAIR)
        started = {c.id: c.started_at for c in await first.engine.list_containers()}
        applied = len(first.ingress.applied)
    async with running_node(first) as node:
        await node.clock.advance(0.01)
        assert [report.state for report in node.convergence.reports()] == [ReplicaState.HEALTHY] * 2
        await node.clock.advance(30)
        assert {c.id: c.started_at for c in await node.engine.list_containers()} == started
        for state in node.ingress.applied[applied:]:
            assert {server.name for route in state.routes for server in route.servers} == {"r1", "r2"}


async def test_an_agent_that_starts_before_the_proxy_answers_takes_nothing_out_of_rotation() -> None:
    async with running_node() as first:
        first.engine.add_image(IMAGE)
        await first.follow(PAIR)
        applied = len(first.ingress.applied)
    first.ingress.down = True
    async with running_node(first) as node:
        await node.clock.advance(0.5)
        node.ingress.down = False
        await node.clock.advance(30)
        for state in node.ingress.applied[applied:]:
            assert {server.name for route in state.routes for server in route.servers} == {"r1", "r2"}
        assert node.convergence.converged


async def test_before_the_first_look_every_replica_is_reported_and_none_is_made_up() -> None:
    node = Node()
    await node.convergence.accept(
        make_spec(make_replica("r1"), make_replica("r2", wanted=Wanted.DRAINING)), "sha256:digest"
    )
    assert [report.state for report in node.convergence.reports()] == [ReplicaState.PENDING, ReplicaState.DRAINING]
    assert node.convergence.engine_part is None


async def test_a_drained_replica_is_gone_and_no_longer_reported() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR)
        node.ingress.hold("r1", 1)
        await node.follow(make_spec(make_replica("r1", wanted=Wanted.DRAINING), make_replica("r2")))
        assert node.report("r1").state is ReplicaState.DRAINING
        assert not node.convergence.converged
        gone = (await node.container("r1")).id
        node.ingress.hold("r1", 0)
        await node.clock.advance(5)
        assert [report.id for report in node.convergence.reports()] == ["r2"]
        assert node.kept == [gone]
        assert len(await node.engine.list_containers()) == 1
        assert node.convergence.converged


async def test_an_image_that_does_not_exist_fails_with_the_registrys_word_and_is_tried_again() -> None:
    spec = make_spec(make_replica("r1", origin=Origin.HOSTED, image="shop/web@sha256:aa"))
    reference = "127.0.0.1:7191/shop/web@sha256:aa"
    async with running_node() as node:
        await node.follow(spec)
        report = node.report("r1")
        assert report.state is ReplicaState.FAILED
        assert report.reason == f"cannot pull image {reference}: manifest unknown"
        node.engine.registry[reference] = Image(id="sha256:1", digests=(reference,), size_bytes=7)
        await node.clock.advance(30)
        assert node.report("r1").state is ReplicaState.HEALTHY
        assert node.report("r1").reason is None


async def test_a_pull_that_may_pass_by_itself_fails_its_replica_only_when_it_fails_again_and_again() -> None:
    reference = "registry.example/x@sha256:aa"
    async with running_node() as node:
        node.engine.registry[reference] = PullFailed("cannot pull: connection reset")
        await node.follow(make_spec(make_replica("r1", origin=Origin.EXTERNAL, image=reference)), seconds=0.5)
        assert node.report("r1").state is ReplicaState.PENDING
        assert node.report("r1").reason == "cannot pull: connection reset"
        await node.clock.advance(10)
        assert node.report("r1").state is ReplicaState.FAILED


async def test_a_container_that_exits_at_once_is_reported_with_its_code_and_last_lines() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        node.engine.exits[IMAGE] = 3
        await node.follow(make_spec(make_replica("r1")), seconds=0.5)
        container = await node.container("r1")
        for number in range(30):
            await node.engine.write_log(container.id, f"line {number}".encode())
        for _ in range(2):
            await node.engine.restart_container(container.id)
            await node.engine.exit_container(container.id, 3)
            await node.clock.advance(0.2)
        report = node.report("r1")
        assert report.state is ReplicaState.EXITED
        assert report.exit_code == 3
        assert "exited with code 3" in str(report.reason)
        assert report.last_lines == tuple(f"line {number}" for number in range(10, 30))
        assert (await node.container("r1")).state is ContainerState.EXITED, "the agent has taken it over"
        assert {happening.kind for happening in node.happenings} == {"exit"}

        del node.engine.exits[IMAGE]
        await node.clock.advance(5)
        assert node.report("r1").state is ReplicaState.HEALTHY
        assert node.report("r1").last_lines == ()


async def test_each_way_of_failing_a_health_check_has_a_sentence_of_its_own() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        said = []
        for obstacle, detail in ((Obstacle.REFUSED, ""), (Obstacle.SILENT, ""), (Obstacle.STATUS, "500")):
            node.probe.default = Probed(obstacle=obstacle, detail=detail)
            await node.follow(make_spec(make_replica("r1")), seconds=2)
            assert node.report("r1").state is ReplicaState.STARTING
            said.append(node.report("r1").reason)
        assert said == [
            "cannot check its health: nothing listens on port 8080",
            "cannot confirm its health: GET / on port 8080 did not answer within 5 s",
            "cannot confirm its health: GET / on port 8080 answered 500, not 2xx or 3xx",
        ]
        assert await node.ready() == {}


async def test_an_unhealthy_replica_leaves_rotation_and_is_restarted() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR)
        sick = await node.container("r1")
        node.probe.outcomes[str(sick.ip)] = Probed(obstacle=Obstacle.STATUS, detail="503")
        await node.clock.advance(9)
        assert node.report("r1").state is ReplicaState.UNHEALTHY
        assert set(await node.ready()) == {"r2"}
        await node.clock.advance(20)
        assert node.report("r1").state is ReplicaState.HEALTHY
        assert set(await node.ready()) == {"r1", "r2"}
        again = await node.container("r1")
        assert again.id == sick.id
        assert again.ip != sick.ip
        assert "restart" in {happening.kind for happening in node.happenings}


async def test_docker_not_running_is_told_and_recovered_from() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.engine.set_down(True)
        await node.follow(PAIR)
        assert _ok(node.convergence.engine_part) is False
        assert node.report("r1").reason == "cannot reach the container engine: is dockerd running?"
        await node.engine.set_down(False)
        await node.clock.advance(5)
        assert node.convergence.converged

        await node.engine.set_down(True)
        await node.clock.advance(40)
        assert node.report("r1").state is ReplicaState.HEALTHY, "its own health check says so"
        assert "cannot reach the container engine" in str(node.report("r1").reason)
        assert _ok(node.convergence.engine_part) is False
        assert set(await node.ready()) == {"r1", "r2"}
        await node.engine.set_down(False)
        await node.clock.advance(5)
        assert node.report("r1").reason is None


async def test_after_the_engine_was_restarted_no_stale_address_is_served() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR)
        before = await node.ready()
        for container in await node.engine.list_containers():
            await node.engine.exit_container(container.id, 0)
            await node.engine.restart_container(container.id)
        await node.engine.reconnect()
        await node.clock.advance(0.1)
        assert not set((await node.ready()).values()) & set(before.values())
        await node.clock.advance(5)
        now = await node.ready()
        assert set(now) == {"r1", "r2"}
        assert now == {name: (await node.container(name)).ip for name in now}


async def test_a_silent_proxy_is_told_and_gets_everything_when_it_answers() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        node.ingress.down = True
        await node.follow(PAIR)
        assert _ok(node.convergence.ingress_part) is False
        assert node.report("r1").state is ReplicaState.HEALTHY
        node.ingress.down = False
        node.ingress.restart()
        assert set(await node.ready()) == {"r1", "r2"}, "what was kept for its next start"
        await node.clock.advance(3)
        assert node.convergence.converged
        assert _ok(node.convergence.ingress_part) is True


async def test_a_proxy_that_lost_its_routes_gets_them_again() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR)
        wanted = node.ingress.applied[-1]
        await node.ingress.apply(type(wanted)())
        node.ingress.restart()
        assert await node.ready() == {}
        await node.clock.advance(3)
        assert set(await node.ready()) == {"r1", "r2"}


async def test_an_oom_kill_is_told_once_and_stands_in_the_report() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(make_spec(make_replica("r1")))
        container = await node.container("r1")
        await node.engine.exit_container(container.id, 137, oom_killed=True)
        await node.clock.advance(0.2)
        assert node.report("r1").oom_killed
        assert "memory limit" in str(node.report("r1").reason)
        assert sorted(happening.kind for happening in node.happenings) == ["exit", "oom"]
        assert {happening.replica_id for happening in node.happenings} == {"r1"}


async def test_a_pull_that_takes_long_holds_up_no_other_replica() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        slow = _SlowPulls(node.engine)
        spec = make_spec(make_replica("r1"), make_replica("r2", origin=Origin.EXTERNAL, image="x@sha256:bb"))
        node.engine.pull_image = slow.pull_image  # type: ignore[method-assign]
        await node.follow(spec)
        assert node.report("r1").state is ReplicaState.HEALTHY
        assert node.report("r2").state is ReplicaState.PULLING


async def test_a_container_that_is_made_while_an_image_is_looked_for_is_never_told_as_failed() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        node.engine.add_image("sha256:bb")
        create, find = node.engine.create_container, node.engine.find_image

        async def create_slowly(spec: ContainerSpec) -> str:
            await node.clock.sleep(1)
            return await create(spec)

        async def find_slowly(reference: str) -> Image | None:
            await node.clock.sleep(2 if reference == "sha256:bb" else 0)
            return await find(reference)

        node.engine.create_container = create_slowly  # type: ignore[method-assign]
        node.engine.find_image = find_slowly  # type: ignore[method-assign]
        told: list[ReplicaState] = []
        node.convergence.attach(notice=lambda: told.append(node.report("r1").state), tell=node.happenings.append)
        first = make_replica("r1")
        await node.follow(make_spec(first), seconds=0.5)
        await node.follow(make_spec(first, make_replica("r2", image="sha256:bb")), seconds=10)
        assert ReplicaState.FAILED not in told
        assert [report.state for report in node.convergence.reports()] == [ReplicaState.HEALTHY] * 2


async def test_reports_are_had_while_an_engine_call_hangs() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        await node.follow(PAIR)
        node.engine.list_containers = _hang  # type: ignore[method-assign]
        await node.clock.advance(100)
        assert [report.state for report in node.convergence.reports()] == [ReplicaState.HEALTHY] * 2


async def test_what_somebody_stopped_is_started_and_what_somebody_removed_is_made_again() -> None:
    async with running_node() as node:
        node.engine.add_image(IMAGE)
        foreign = node.engine.add_foreign("somebody-elses")
        await node.follow(PAIR)
        await node.engine.stop_container((await node.container("r1")).id, grace_seconds=1)
        await node.engine.remove_container((await node.container("r2")).id)
        await node.clock.advance(10)
        assert node.convergence.converged
        await node.follow(make_spec())
        await node.clock.advance(20)
        assert await node.engine.list_containers() == ()
        assert node.engine.exists(foreign)


def _ok(part: Part | None) -> bool | None:
    return None if part is None else part.ok


class _SlowPulls:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def pull_image(self, reference: str, **_: object) -> Image:
        await asyncio.Event().wait()
        raise AssertionError(reference)


async def _hang() -> tuple[Container, ...]:
    await asyncio.Event().wait()
    return ()


async def test_closing_leaves_no_task_behind() -> None:
    node = Node()
    tasks = Tasks("test")
    run = tasks.start("run", node.convergence.run())
    await node.clock.advance(1)
    await tasks.close()
    assert run.cancelled()
    assert len(asyncio.all_tasks()) == 1
