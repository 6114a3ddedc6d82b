"""Deployments over a real store: they end, in order, whatever fails on the way."""

from __future__ import annotations

import asyncio

import pytest

from controld.core.faults import DeploymentFinished, UploadExpired, UploadNotFound
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Status, UploadRequest
from controld.model.node import NodeState
from controld.model.page import Page
from controld.rules import deployment_log
from controld.store.engine import Database
from tests.controld.app import App
from tests.controld.deploying import ARCHIVE, Ground, image_source, make_ground
from tests.fakes.agents import BUILT, DIGEST
from tests.waiting import eventually
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkFailed, WorkLine
from wire.link import ReplicaState
from wire.spec import Wanted


@pytest.fixture
async def ground(app: App) -> Ground:
    return await make_ground(app)


async def test_an_upload_becomes_a_healthy_deployment_with_a_log_of_its_phases(app: App, ground: Ground) -> None:
    app.agents.events = [WorkLine(text="STEP 1"), WorkLine(text="STEP 2"), BUILT]
    deployment = await ground.deploy()
    assert deployment.status is Status.PENDING
    assert await ground.advance(deployment) is Status.STARTING
    (node_id, work_id, asked) = app.agents.asked[0]
    assert (node_id, work_id) == (ground.nodes[0], deployment.id)
    assert isinstance(asked, BuildAsked)
    assert asked.repository == "shop/web"
    assert app.agents.contexts[node_id, work_id] == ARCHIVE
    (replica,) = await ground.replicas(deployment)
    assert replica.config.image == f"shop/web@{DIGEST}"
    assert dict(replica.config.env)["K"] == "secret"
    assert dict(replica.config.env)["PORT"] == "8080"
    assert await ground.promoted() is None
    await ground.report(deployment, ReplicaState.HEALTHY)
    assert await ground.advance(deployment) is Status.HEALTHY
    assert await ground.promoted() == deployment.id
    assert [line.partition(" ")[0] for line in await ground.log(deployment)] == [
        *("START", "START", "START", "BUILDING", "BUILDING", "STARTING", "HEALTHCHECK", "HEALTHCHECK", "HEALTHY")
    ]


async def test_controlds_that_share_a_database_take_each_step_once(either_database: Database) -> None:
    first, second = App(either_database), App(either_database)
    ground = await make_ground(first, source=image_source())
    deployment = await ground.image()
    second.fleet.put(ground.nodes[0])
    first.agents.events = second.agents.events = [BUILT]
    steps = [first.deploying.steps, second.deploying.steps] * 3
    await asyncio.gather(*(each.advance(deployment.id) for each in steps))
    assert await ground.status(deployment) is Status.STARTING
    assert len(first.agents.asked) + len(second.agents.asked) == 1
    assert len(await ground.replicas(deployment)) == 1
    lines = await ground.log(deployment)
    assert len(lines) == len(set(lines))


async def test_the_new_release_takes_the_route_and_the_old_one_drains_in_one_step(ground: Ground) -> None:
    first = await ground.make_healthy(await ground.deploy())
    second = await ground.deploy()
    await ground.advance(second)
    assert await ground.promoted() == first.id
    assert sorted(await ground.running()) == sorted([first.id, second.id])
    await ground.report(second, ReplicaState.HEALTHY)
    await ground.advance(second)
    assert await ground.promoted() == second.id
    assert await ground.running() == [second.id]
    assert await ground.status(first) is Status.INACTIVE
    (old,) = await ground.replicas(first)
    assert old.wanted is Wanted.DRAINING
    assert old.draining_at is not None


async def test_a_failed_gate_leaves_the_old_release_alone_and_says_why(ground: Ground) -> None:
    first = await ground.make_healthy(await ground.deploy())
    second = await ground.deploy()
    await ground.advance(second)
    await ground.report(
        second, ReplicaState.EXITED, restarts=3, reason="it exited with code 1", last_lines=("booting", "no such table")
    )
    assert await ground.advance(second) is Status.FAILED
    assert await ground.promoted() == first.id
    assert await ground.running() == [first.id]
    assert await ground.replicas(second) == []
    assert await ground.status(first) is Status.HEALTHY
    reason = (await ground.see(second)).reason or ""
    assert "exited with code 1" in reason
    assert "no such table" in reason
    log = await ground.log(second)
    assert "RUNTIME_START | no such table" in log
    assert log[-1].startswith("ERROR ")


async def test_a_gate_that_nobody_passes_closes_at_its_deadline(app: App, ground: Ground) -> None:
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.STARTING)
    await app.clock.advance(59)
    assert await ground.advance(deployment) is Status.STARTING
    await app.clock.advance(2)
    assert await ground.advance(deployment) is Status.FAILED


async def test_a_pull_of_the_image_holds_the_gate_open(app: App, ground: Ground) -> None:
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.PULLING)
    for _ in range(13):
        await app.clock.advance(50)
        assert await ground.advance(deployment) is Status.STARTING
    await app.clock.advance(200)
    assert await ground.advance(deployment) is Status.FAILED


async def test_a_failed_build_ends_the_deployment_with_its_reason(app: App, ground: Ground) -> None:
    app.agents.events = [WorkLine(text="RUN false"), WorkFailed(code="build_failed", message="step 3 exited with 1")]
    deployment = await ground.deploy()
    assert await ground.advance(deployment) is Status.FAILED
    assert (await ground.see(deployment)).reason == "step 3 exited with 1"
    assert (await ground.log(deployment))[-2:] == ["BUILDING RUN false", "ERROR step 3 exited with 1"]


async def test_an_image_is_pulled_by_the_reference_that_the_service_stores(app: App) -> None:
    ground = await make_ground(app, source=image_source())
    deployment = await ground.image()
    assert await ground.advance(deployment) is Status.STARTING
    asked = app.agents.asked[0][2]
    assert isinstance(asked, PullAsked)
    assert asked.image == "docker.io/library/nginx:1"


async def test_what_is_wrong_with_a_request_is_told_by_the_deployment(ground: Ground) -> None:
    image = await ground.image()
    assert await ground.advance(image) is Status.FAILED
    assert "not external_image" in ((await ground.see(image)).reason or "")
    for upload_id in ("nothing", "../../etc/passwd", "00000000-0000-7000-8000-000000000000"):
        request = UploadRequest(
            service_id=ground.service.id, upload_id=upload_id, dockerfile_path="Dockerfile", context_path="."
        )
        deployment = await ground.deploy(request)
        assert await ground.advance(deployment) is Status.FAILED
    redeploy = await ground.redeploy()
    assert await ground.advance(redeploy) is Status.FAILED
    assert "no artifact" in ((await ground.see(redeploy)).reason or "")


async def test_an_upload_serves_its_own_service_once_and_in_time(app: App, ground: Ground) -> None:
    late = await ground.upload()
    await app.clock.advance(3601)
    with pytest.raises(UploadExpired):
        await ground.deploy(late)
    used = await ground.upload()
    path = app.deploying.files.path(used.upload_id)
    assert path.exists()
    await ground.make_healthy(await ground.deploy(used))
    assert not path.exists()
    again = await ground.deploy(used)
    assert await ground.advance(again) is Status.FAILED


async def test_an_upload_of_another_service_is_refused(app: App, ground: Ground) -> None:
    upload = await ground.upload()
    other = await app.services.put(SETUP_CALLER, ground.draft("other"))
    request = UploadRequest(
        service_id=other.id, upload_id=upload.upload_id, dockerfile_path="Dockerfile", context_path="."
    )
    with pytest.raises(UploadNotFound):
        await ground.deploy(request)


async def test_two_deployments_of_a_service_run_one_after_the_other(ground: Ground) -> None:
    first, second = await ground.deploy(), await ground.deploy()
    assert await ground.advance(second) is Status.PENDING
    assert await ground.advance(first) is Status.STARTING
    assert await ground.advance(second) is Status.PENDING
    assert second.id not in await ground.steps.list_due()
    await ground.report(first, ReplicaState.HEALTHY)
    await ground.advance(first)
    assert await ground.advance(second) is Status.STARTING


async def test_one_deployment_is_advanced_by_one_at_a_time(app: App, ground: Ground) -> None:
    app.agents.events = [None, BUILT]
    deployment = await ground.deploy()
    working = asyncio.ensure_future(ground.steps.advance(deployment.id))
    await eventually(lambda: bool(app.agents.asked))
    assert await ground.steps.advance(deployment.id) is None
    app.agents.go.set()
    await working
    assert len(app.agents.asked) == 1
    assert await ground.status(deployment) is Status.STARTING


async def test_no_more_than_eight_work_at_one_time(app: App, ground: Ground) -> None:
    deployments = []
    for number in range(9):
        service = await app.services.put(SETUP_CALLER, ground.draft(f"s{number}"))
        other = Ground(app, service, ground.nodes)
        deployment = await other.deploy()
        await other.advance(deployment)
        deployments.append((other, deployment))
    statuses = [await other.status(deployment) for other, deployment in deployments]
    assert statuses == [Status.STARTING] * 8 + [Status.PENDING]
    other, deployment = deployments[0]
    await other.report(deployment, ReplicaState.HEALTHY)
    await other.advance(deployment)
    assert await other.advance(deployments[8][1]) is Status.STARTING


async def test_a_deployment_without_a_node_fails_and_says_when_one_was_heard(app: App, ground: Ground) -> None:
    app.fleet.put(ground.nodes[0], NodeState.LOST)
    deployment = await ground.deploy()
    assert await ground.advance(deployment) is Status.PENDING
    await app.clock.advance(61)
    assert await ground.advance(deployment) is Status.FAILED
    assert "node node-1 is lost, last heard at 2026-01-01T00:00:00.000Z" in (
        (await ground.see(deployment)).reason or ""
    )


async def test_a_node_that_is_off_is_tried_again_until_the_deadline(app: App, ground: Ground) -> None:
    app.agents.offline.add(ground.nodes[0])
    deployment = await ground.deploy()
    pauses = [await ground.steps.advance(deployment.id) for _ in range(5)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert await ground.status(deployment) is Status.BUILDING
    await app.clock.advance(900)
    app.fleet.put(ground.nodes[0], NodeState.SUSPECT)
    assert await ground.advance(deployment) is Status.FAILED
    assert "did not finish within 15 min: node node-1 is suspect" in ((await ground.see(deployment)).reason or "")


async def test_a_build_moves_from_a_lost_node(app: App) -> None:
    ground = await make_ground(app, nodes=2)
    app.agents.offline.add(ground.nodes[0])
    deployment = await ground.deploy()
    assert await ground.advance(deployment) is Status.BUILDING
    app.fleet.put(ground.nodes[0], NodeState.LOST)
    assert await ground.advance(deployment) is Status.STARTING
    assert (await ground.see(deployment)).node_id == ground.nodes[1]


async def test_an_agent_that_lost_its_context_gets_it_again(app: App, ground: Ground) -> None:
    app.agents.events = [WorkLine(text="one"), WorkLine(text="two")]
    deployment = await ground.deploy()
    assert await ground.steps.advance(deployment.id) == 0.5
    app.agents.contexts.clear()
    app.agents.events = [WorkLine(text="one"), WorkLine(text="two"), BUILT]
    assert await ground.advance(deployment) is Status.STARTING
    assert [line for line in await ground.log(deployment) if line.startswith("BUILDING")] == [
        "BUILDING one",
        "BUILDING two",
    ] * 2


async def test_work_that_is_joined_again_leaves_no_line_twice(app: App, ground: Ground) -> None:
    app.agents.events = [WorkLine(text="one")]
    deployment = await ground.deploy()
    assert await ground.steps.advance(deployment.id) == 0.5
    app.agents.events = [WorkLine(text="one"), WorkLine(text="two"), BUILT]
    assert await ground.advance(deployment) is Status.STARTING
    assert [line for line in await ground.log(deployment) if line.startswith("BUILDING")] == [
        "BUILDING one",
        "BUILDING two",
    ]


async def test_too_much_output_is_cut_and_says_so(app: App, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controld.core.deployment_output.MAX_OUTPUT_LINES", 10)
    app.agents.events = [*(WorkLine(text=str(number)) for number in range(25)), BUILT]
    deployment = await ground.deploy()
    await ground.advance(deployment)
    lines = [line for line in await ground.log(deployment) if line.startswith("BUILDING")]
    assert len(lines) == 11
    assert "15 lines dropped" in lines[-1]
    assert deployment_log.MAX_OUTPUT_LINES == 20_000


@pytest.mark.parametrize("phase", [Status.PENDING, Status.BUILDING, Status.STARTING])
async def test_a_deployment_can_be_cancelled_in_every_phase(app: App, ground: Ground, phase: Status) -> None:
    first = await ground.make_healthy(await ground.deploy())
    deployment = await ground.deploy()
    working: asyncio.Future[float | None] | None = None
    if phase is Status.BUILDING:
        app.agents.events = [None, BUILT]
        working = asyncio.ensure_future(ground.steps.advance(deployment.id))
        await eventually(lambda: len(app.agents.asked) == 2)
    elif phase is Status.STARTING:
        await ground.advance(deployment)
    assert await ground.status(deployment) is phase
    await app.deploying.deployments.cancel(SETUP_CALLER, deployment.id)
    if working is not None:
        await working
        assert deployment.id in app.agents.cancelled
    else:
        await ground.advance(deployment)
    assert await ground.status(deployment) is Status.FAILED
    assert (await ground.see(deployment)).reason == "cancelled by the holder of the setup secret"
    assert await ground.promoted() == first.id
    assert await ground.running() == [first.id]
    with pytest.raises(DeploymentFinished):
        await app.deploying.deployments.cancel(SETUP_CALLER, deployment.id)


async def test_a_deleted_service_ends_the_build_on_its_node(app: App, ground: Ground) -> None:
    app.agents.events = [None, BUILT]
    deployment = await ground.deploy()
    working = asyncio.ensure_future(ground.steps.advance(deployment.id))
    await eventually(lambda: bool(app.agents.asked))
    await app.services.delete(SETUP_CALLER, ground.service.id)
    await working
    assert app.agents.cancelled == [deployment.id]


async def test_the_newest_artifacts_are_kept(app: App, ground: Ground) -> None:
    for number in range(7):
        app.agents.events = [_built(number)]
        await ground.make_healthy(await ground.deploy())
        await app.clock.advance(1)
    known = await app.deploying.deployments.list_of_service(SETUP_CALLER, ground.service.id, Page(limit=10))
    assert [artifact is not None for _, artifact in known.items] == [True] * 5 + [False] * 2


class _Killed(BaseException):
    """The process dies here."""


def _kill_at(target: int, app: App, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Die at that transaction or ask; every one that is passed is noted."""
    passed: list[str] = []
    write = type(app.database).write

    def note(name: str) -> None:
        passed.append(name)
        if len(passed) == target:
            raise _Killed

    def counted(self: object) -> object:
        note("write")
        return write(self)  # type: ignore[arg-type]

    monkeypatch.setattr(type(app.database), "write", counted)
    app.agents.before = note
    return passed


@pytest.mark.parametrize("moment", range(1, 17))
async def test_killed_at_any_moment_it_goes_on_after_the_lease(
    app: App, ground: Ground, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await ground.make_healthy(await ground.deploy())
    app.agents.events = [WorkLine(text="one"), BUILT]
    second = await ground.deploy()
    with monkeypatch.context() as patch:
        passed = _kill_at(moment, app, patch)
        for _ in range(3):
            try:
                await ground.steps.advance(second.id)
            except (_Killed, asyncio.CancelledError):
                break
            await ground.report(second, ReplicaState.HEALTHY)
        app.agents.before = lambda _: None
    assert passed
    assert await ground.promoted() in {first.id, second.id}
    await app.clock.advance(31)
    for _ in range(4):
        await ground.steps.advance(second.id)
        await ground.report(second, ReplicaState.HEALTHY)
    assert await ground.status(second) is Status.HEALTHY
    assert await ground.promoted() == second.id
    assert await ground.running() == [second.id]
    assert [line for line in await ground.log(second) if line.startswith("BUILDING")] == ["BUILDING one"]


def _built(number: int) -> WorkDone:
    return WorkDone(image=BUILT.image, origin=BUILT.origin, digest=f"sha256:{number:064x}", size_bytes=BUILT.size_bytes)
