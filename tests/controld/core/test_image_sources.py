"""Deployments of images in a project's registry: pulled with its sign-in, and with nobody else's."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from controld.core.faults import InUse, RegistryRefused
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Status
from controld.model.external_registry import ExternalRegistry, ExternalRegistryDraft, RegistryAuth
from controld.model.job import JobDraft
from controld.model.service import ExternalImageSource
from kit.tasks import Tasks
from tests.controld.app import App
from tests.controld.deploying import Ground, make_draft, make_ground
from tests.fakes.agents import BUILT, DIGEST
from tests.waiting import eventually
from wire.agent.builds import PullAsked, RegistryLogin, WorkDone
from wire.spec import Origin

_GAR = RegistryLogin(username="oauth2accesstoken", password="t")
_BASIC = ExternalRegistryDraft(
    name="ghcr", endpoint="ghcr.io", auth_kind=RegistryAuth.BASIC, username="bot", password="hush-1"
)


async def _make(app: App, draft: ExternalRegistryDraft = _BASIC) -> tuple[Ground, ExternalRegistry]:
    """A service whose image is in the registry."""
    ground = await make_ground(app)
    project_id = ground.service.project_id
    registry = await app.external_registries.create(SETUP_CALLER, project_id, draft)
    source = ExternalImageSource(image="", registry_id=registry.id, image_ref="team/app:1")
    service = await app.services.put(SETUP_CALLER, make_draft(project_id, "web", source=source))
    app.agents.events = [BUILT]
    return Ground(app, service, ground.nodes), registry


async def _pull(app: App, ground: Ground) -> PullAsked:
    assert await ground.advance(await ground.image()) is Status.STARTING
    (_, _, asked) = app.agents.asked[0]
    assert isinstance(asked, PullAsked)
    return asked


@pytest.mark.parametrize(
    ("changes", "login"),
    [
        ({}, RegistryLogin(username="bot", password="hush-1")),
        ({"auth_kind": RegistryAuth.TOKEN, "token": "t-1"}, RegistryLogin(token="t-1")),
        ({"auth_kind": RegistryAuth.ECR_TOKEN, "token": "t-1"}, RegistryLogin(username="AWS", password="t-1")),
        (
            {"auth_kind": RegistryAuth.GAR_TOKEN, "token": "t"},
            RegistryLogin(username="oauth2accesstoken", password="t"),
        ),
        ({"auth_kind": RegistryAuth.ANONYMOUS}, None),
    ],
    ids=["basic", "token", "ecr_token", "gar_token", "anonymous"],
)
async def test_the_node_pulls_by_digest_with_the_sign_in_of_the_project(
    app: App, changes: dict[str, Any], login: RegistryLogin | None
) -> None:
    ground, _ = await _make(app, dataclasses.replace(_BASIC, **changes))
    app.registry_client.digests["ghcr.io/team/app:1"] = DIGEST
    asked = await _pull(app, ground)
    assert app.registry_client.asked == [("ghcr.io/team/app:1", login)]
    assert (asked.image, asked.login) == (f"ghcr.io/team/app@{DIGEST}", login)
    assert asked.keep_as == "shop/web:deployment-1"


async def test_a_tag_that_the_registry_does_not_resolve_is_left_to_the_node(app: App) -> None:
    ground, _ = await _make(app)
    assert (await _pull(app, ground)).image == "ghcr.io/team/app:1"


async def test_a_pull_that_the_registry_refuses_fails_with_its_reason(app: App) -> None:
    ground, _ = await _make(app)
    app.registry_client.digests["ghcr.io/team/app:1"] = RegistryRefused("cannot pull ghcr.io/team/app:1: refused")
    deployment = await ground.image()
    assert await ground.advance(deployment) is Status.FAILED
    assert (await ground.see(deployment)).reason == "cannot pull ghcr.io/team/app:1: refused"
    assert app.agents.asked == []


async def test_a_secret_that_is_shut_fails_the_deployment_and_says_so(app: App) -> None:
    ground, registry = await _make(app)
    assert registry.credential_ref is not None
    app.secrets.shut.add((registry.project_id, registry.credential_ref))
    deployment = await ground.image()
    assert await ground.advance(deployment) is Status.FAILED
    assert registry.credential_ref in ((await ground.see(deployment)).reason or "")


async def test_a_password_never_goes_to_an_endpoint_that_it_was_not_given_for(app: App) -> None:
    ground, registry = await _make(app)
    async with app.database.write() as tx:
        # As if somebody had changed the row behind our back, or a replacement had been cut off after its secret.
        await app.registry_store.update(tx, dataclasses.replace(registry, endpoint="evil.example"))
    deployment = await ground.image()
    assert await ground.advance(deployment) is Status.FAILED
    assert app.registry_client.asked == []
    assert app.agents.asked == []


async def test_the_artifact_says_which_image_it_was_made_from(app: App) -> None:
    ground, _ = await _make(app)
    deployment = await ground.image()
    await ground.advance(deployment)
    _, artifact = await app.deploying.deployments.get(SETUP_CALLER, deployment.id)
    assert artifact is not None
    assert getattr(artifact.source, "image", None) == "ghcr.io/team/app:1"


async def test_no_log_of_a_deployment_holds_the_password(app: App, caplog: pytest.LogCaptureFixture) -> None:
    ground, _ = await _make(app)
    deployment = await ground.image()
    await ground.advance(deployment)
    (_, _, asked) = app.agents.asked[0]
    assert "hush-1" not in f"{await ground.log(deployment)} {caplog.text} {asked}"


async def test_a_run_of_a_job_pulls_with_the_sign_in_of_its_project(app: App) -> None:
    ground, registry = await _make(app)
    app.registry_client.digests["ghcr.io/team/task:2"] = DIGEST
    app.agents.events = [
        WorkDone(image=f"ghcr.io/team/task@{DIGEST}", origin=Origin.EXTERNAL, digest=DIGEST, size_bytes=1)
    ]
    source = ExternalImageSource(image="", registry_id=registry.id, image_ref="team/task:2")
    draft = JobDraft(name="nightly", source=source)
    job = await app.jobs.jobs.create(SETUP_CALLER, ground.service.project_id, draft)
    await app.services.delete(SETUP_CALLER, ground.service.id)
    with pytest.raises(InUse, match="job nightly"):
        await app.external_registries.delete(SETUP_CALLER, registry.project_id, registry_id=registry.id)
    run = await app.jobs.jobs.run(SETUP_CALLER, job.id)
    tasks = Tasks("run")
    tasks.start("steps", app.jobs.steps.advance(run.id))
    ((_, _, asked),) = await eventually(lambda: asyncio.sleep(0, app.agents.asked))
    await tasks.close()
    assert isinstance(asked, PullAsked)
    assert (asked.image, asked.login) == (
        f"ghcr.io/team/task@{DIGEST}",
        RegistryLogin(username="bot", password="hush-1"),
    )
    assert asked.keep_as is None
