"""Deployments, their logs and service actions over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from controld.model.audit import AuditQuery
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Deployment, Status
from controld.model.page import Page
from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, bearer
from tests.controld.deploying import Ground, make_ground
from tests.fakes.agents import BUILT, DIGEST
from wire.agent.builds import WorkLine
from wire.link import ReplicaState
from wire.spec import Wanted

ADMIN = bearer(SETUP_SECRET)
UNKNOWN = "00000000-0000-7000-8000-0000000000aa"


@pytest.fixture
async def ground(app: App) -> Ground:
    return await make_ground(app)


@pytest.fixture
async def http(app: App, ground: Ground) -> AsyncIterator[ClientSession]:
    async with app.serve() as session:
        yield session


async def _read_events(http: ClientSession, deployment: Deployment, **more: str) -> list[str]:
    async with http.get(f"/v1/deployments/{deployment.id}/logs/stream", headers={**ADMIN, **more}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        return (await answer.text()).split("\n\n")[:-1]


async def test_a_deployment_is_accepted_and_seen(app: App, ground: Ground, http: ClientSession) -> None:
    request = await ground.upload()
    asked = {
        "source": "upload",
        "service_id": ground.service.id,
        "upload_id": request.upload_id,
        "dockerfile_path": "Dockerfile",
        "context_path": ".",
    }
    async with http.post("/v1/deployments", json=asked, headers=ADMIN) as answer:
        assert answer.status == 202
        body = await answer.json()
    assert body["status"] == "Pending"
    assert body["request"] == asked
    assert "artifact" not in body
    deployment = (
        await app.deploying.deployments.list_of_service(SETUP_CALLER, ground.service.id, Page(limit=1))
    ).items[0][0]
    await ground.make_healthy(deployment)
    async with http.get(f"/v1/deployments/{body['id']}", headers=ADMIN) as answer:
        seen = await answer.json()
    assert seen["status"] == "Healthy"
    assert seen["artifact"]["digest"] == DIGEST
    assert seen["artifact"]["kind"] == "OciImage"
    assert seen["artifact"]["source"] == {
        "type": "uploaded_context",
        "upload_id": request.upload_id,
        "dockerfile_path": "Dockerfile",
        "context_path": ".",
    }
    async with http.get(f"/v1/services/{ground.service.id}/deployments", headers=ADMIN) as answer:
        assert await answer.json() == [seen]


async def test_the_list_comes_in_pages_that_link_to_the_next(ground: Ground, http: ClientSession) -> None:
    ids = [(await ground.redeploy()).id for _ in range(5)][::-1]
    path, seen = f"/v1/services/{ground.service.id}/deployments?limit=2", []
    for size in (2, 2, 1):
        async with http.get(path, headers=ADMIN) as answer:
            page = [each["id"] for each in await answer.json()]
            assert len(page) == size
            seen += page
            path = str(answer.links["next"]["url"]) if "next" in answer.links else ""
    assert (seen, path) == (ids, "")
    for query in ("limit=0", "limit=1001", "before=x"):
        async with http.get(f"/v1/services/{ground.service.id}/deployments?{query}", headers=ADMIN) as answer:
            assert answer.status == 400, query
    async with http.get(f"/v1/services/{ground.service.id}/deployments?before={UNKNOWN}", headers=ADMIN) as answer:
        assert (answer.status, await answer.json()) == (200, [])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"source": "redeploy", "artifact_id": UNKNOWN}, 404, "artifact_not_found"),
        ({"source": "git"}, 422, "malformed"),
        ({"source": "nothing"}, 422, "malformed"),
        ({"source": "redeploy", "service_id": UNKNOWN}, 404, "service_not_found"),
        ({"source": "redeploy", "service_id": "no"}, 422, "malformed"),
        (
            {"source": "upload", "upload_id": "a\0b", "dockerfile_path": "Dockerfile", "context_path": "."},
            400,
            "invalid",
        ),
        ({"source": "external_image", "image": "a\0b"}, 400, "invalid"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    ground: Ground, http: ClientSession, body: dict[str, str], status: int, code: str
) -> None:
    async with http.post("/v1/deployments", json={"service_id": ground.service.id, **body}, headers=ADMIN) as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_strangers_see_nothing_and_viewers_change_nothing(app: App, ground: Ground, http: ClientSession) -> None:
    deployment = await ground.deploy()
    stranger = bearer(await app.token_of("stranger"))
    viewer = bearer(await app.token_of("viewer", project_id=ground.service.project_id, role=Role.VIEWER))
    asked = {"source": "redeploy", "service_id": ground.service.id}
    for method, path, viewers in (
        ("GET", f"/v1/deployments/{deployment.id}", 200),
        ("GET", f"/v1/services/{ground.service.id}/deployments", 200),
        ("GET", f"/v1/deployments/{deployment.id}/logs/stream", 403),
        ("GET", f"/v1/deployments/{deployment.id}/logs", 403),
        ("POST", f"/v1/deployments/{deployment.id}/cancel", 403),
        ("POST", f"/v1/services/{ground.service.id}/stop", 403),
        ("POST", "/v1/deployments", 403),
    ):
        body = asked if path == "/v1/deployments" else None
        async with http.request(method, path, json=body, headers=stranger) as answer:
            assert answer.status == 404, path
        async with http.request(method, path, json=body, headers=viewer) as answer:
            assert answer.status == viewers, path


async def test_the_log_is_streamed_to_its_end(app: App, ground: Ground, http: ClientSession) -> None:
    app.agents.events = [WorkLine(text="STEP 1"), None, WorkLine(text=""), BUILT]
    deployment = await ground.deploy()
    reading = asyncio.ensure_future(_read_events(http, deployment))
    working = asyncio.ensure_future(ground.steps.advance(deployment.id))
    await asyncio.sleep(0.1)
    assert not reading.done()
    app.agents.go.set()
    await working
    await ground.report(deployment, ReplicaState.HEALTHY)
    await ground.advance(deployment)
    events = await reading
    assert events[-1] == 'event: done\ndata: {"status":"Healthy"}'
    ids = [int(event.splitlines()[0].removeprefix("id: ")) for event in events[:-1]]
    assert ids == list(range(1, len(ids) + 1))
    assert any(event.endswith("Z BUILDING STEP 1") for event in events)
    assert events[-2].partition("Z ")[2].startswith("HEALTHY")


async def test_a_log_is_resumed_behind_the_last_event(ground: Ground, http: ClientSession) -> None:
    deployment = await ground.make_healthy(await ground.deploy())
    whole = await _read_events(http, deployment)
    assert await _read_events(http, deployment, **{"Last-Event-ID": "3"}) == whole[3:]
    async with http.get(f"/v1/deployments/{deployment.id}/logs?since=5", headers=ADMIN) as answer:
        assert (await answer.text()).split("\n\n")[:-1] == whole[5:]
    for beyond in ("-1", "9" * 20):
        async with http.get(f"/v1/deployments/{deployment.id}/logs?since={beyond}", headers=ADMIN) as answer:
            assert answer.status == 400
    for bad in ({"Last-Event-ID": "x"},):
        async with http.get(f"/v1/deployments/{deployment.id}/logs", headers={**ADMIN, **bad}) as answer:
            assert answer.status == 400


async def test_the_log_of_a_superseded_deployment_ends(ground: Ground, http: ClientSession) -> None:
    first = await ground.make_healthy(await ground.deploy())
    await ground.make_healthy(await ground.deploy())
    assert (await _read_events(http, first))[-1] == 'event: done\ndata: {"status":"Inactive"}'


async def test_a_sixty_fifth_reader_waits_for_another_to_leave(app: App, ground: Ground, http: ClientSession) -> None:
    deployment = await ground.deploy()
    path = f"/v1/deployments/{deployment.id}/logs/stream"
    open_ones = []
    for _ in range(64):
        answer = await http.get(path, headers=ADMIN)
        await answer.content.readline()
        open_ones.append(answer)
    async with http.get(path, headers=ADMIN) as refused:
        assert refused.status == 429
    open_ones.pop().close()
    async with asyncio.timeout(5):
        while True:
            answer = await http.get(path, headers=ADMIN)
            open_ones.append(answer)
            if answer.status == 200:
                break
            await asyncio.sleep(0.05)
    for answer in open_ones:
        answer.close()


async def test_a_stopped_service_runs_nothing_until_it_is_started(ground: Ground, http: ClientSession) -> None:
    first = await ground.make_healthy(await ground.deploy())
    waiting = await ground.deploy()
    path = f"/v1/services/{ground.service.id}"
    async with http.post(f"{path}/stop", headers=ADMIN) as answer:
        assert answer.status == 202
        assert await answer.json() == {"service_id": ground.service.id, "action": "stop", "deployment_id": None}
    assert await ground.status(first) is Status.STOPPED
    assert await ground.promoted() is None
    assert [replica.wanted for replica in await ground.replicas()] == [Wanted.DRAINING]
    assert await ground.advance(waiting) is Status.FAILED
    async with http.post(f"{path}/start", headers=ADMIN) as answer:
        assert answer.status == 202
        started = (await answer.json())["deployment_id"]
    deployment = (await ground.app.deploying.deployments.get(SETUP_CALLER, started))[0]
    await ground.make_healthy(deployment)
    assert await ground.promoted() == started
    async with http.post(f"{path}/start", headers=ADMIN) as answer:
        assert (await answer.json())["deployment_id"] is None


async def test_a_rollback_runs_the_artifact_before(ground: Ground, http: ClientSession) -> None:
    digests = [f"sha256:{number:064x}" for number in range(2)]
    for digest in digests:
        ground.app.agents.events = [type(BUILT)(image=BUILT.image, origin=BUILT.origin, digest=digest)]
        await ground.make_healthy(await ground.deploy())
        await ground.app.clock.advance(1)
    async with http.post(f"/v1/services/{ground.service.id}/rollback", headers=ADMIN) as answer:
        assert answer.status == 202
        wanted = (await answer.json())["deployment_id"]
    await ground.make_healthy((await ground.app.deploying.deployments.get(SETUP_CALLER, wanted))[0])
    async with http.get(f"/v1/deployments/{wanted}", headers=ADMIN) as answer:
        assert (await answer.json())["artifact"]["digest"] == digests[0]
    async with http.post(f"/v1/services/{ground.service.id}/restart", headers=ADMIN) as answer:
        assert answer.status == 202


async def test_actions_that_make_no_sense_are_refused(ground: Ground, http: ClientSession) -> None:
    for path, status in (
        (f"/v1/services/{ground.service.id}/dance", 400),
        (f"/v1/services/{UNKNOWN}/dance", 404),
        (f"/v1/services/{ground.service.id}/rollback", 409),
        (f"/v1/services/{ground.service.id}/restart", 409),
        (f"/v1/services/{ground.service.id}/start", 409),
        (f"/v1/services/{ground.service.id}/stop", 202),
    ):
        async with http.post(path, headers=ADMIN) as answer:
            assert answer.status == status, path


async def test_changes_leave_audit_records(ground: Ground, http: ClientSession) -> None:
    deployment = await ground.deploy()
    async with http.post(f"/v1/deployments/{deployment.id}/cancel", headers=ADMIN) as answer:
        assert answer.status == 202
    async with http.post(f"/v1/services/{ground.service.id}/stop", headers=ADMIN) as answer:
        assert answer.status == 202
    async with ground.app.database.read() as tx:
        actions = [record.action for record in await ground.app.audit_store.list(tx, AuditQuery(), page=Page(limit=3))]
    assert actions == ["service.stop", "deployment.cancel", "deployment.create", "upload.create"]
