"""Deployments by git over a real store: what a node is asked, what is kept of it, and what is refused."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from controld.core.faults import ArtifactNotFound
from controld.core.git_credentials import GitCredentialDraft
from controld.core.service_actions import Action
from controld.model.artifact import BuiltSource
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Deployment, GitRequest, RedeployRequest, Status
from controld.model.page import Page
from controld.model.service import GitSource
from controld.store.deployments import DeploymentStore
from kit.faults import Invalid
from kit.ssh_keys import make_key
from tests.controld.app import App
from tests.controld.deploying import Ground, git_source, make_ground
from tests.fakes.agents import BUILT, DIGEST
from wire.agent.builds import BuildAsked, CloneAsked, DeployKey, HttpsLogin, WorkDone, WorkFailed, WorkLine
from wire.link import ReplicaState

_COMMIT = "c0ffee" * 6 + "c0ff"
_URL = "https://git.example/shop/web.git"


@pytest.fixture
async def ground(app: App) -> Ground:
    return await make_ground(app, source=git_source())


async def _deploy(ground: Ground, *, url: str = _URL, ref: str = "") -> Deployment:
    return await ground.deploy(GitRequest(service_id=ground.service.id, repo_url=url, git_ref=ref))


async def _change(ground: Ground, source: GitSource) -> None:
    draft = dataclasses.replace(ground.draft(ground.service.name), source=source)
    await ground.app.services.put(SETUP_CALLER, draft)


async def _asked(ground: Ground, deployment: Deployment) -> CloneAsked:
    await ground.advance(deployment)
    asked = ground.app.agents.asked[-1][2]
    assert isinstance(asked, BuildAsked)
    assert asked.clone is not None
    return asked.clone


def _built(number: int = 0, *, commit: str = _COMMIT) -> WorkDone:
    digest = f"sha256:{number:064x}"
    return msgspec.structs.replace(BUILT, digest=digest, image=f"shop/web@{digest}", commit=commit)


async def test_a_repository_becomes_a_healthy_deployment_whose_artifact_names_its_commit(
    app: App, ground: Ground
) -> None:
    app.agents.events = [WorkLine(text=f"main is commit {_COMMIT}"), _built()]
    deployment = await _deploy(ground)
    assert deployment.request == GitRequest(service_id=ground.service.id, repo_url=_URL, git_ref="main")
    await ground.make_healthy(deployment)
    asked = app.agents.asked[0][2]
    assert isinstance(asked, BuildAsked)
    assert (asked.dockerfile_path, asked.context_path) == ("docker/Dockerfile", "app")
    _, artifact = await app.deploying.deployments.get(SETUP_CALLER, deployment.id)
    assert artifact is not None
    assert artifact.source == BuiltSource(
        repo_url=_URL, git_ref="main", dockerfile_path="docker/Dockerfile", context_path="app", commit=_COMMIT
    )
    log = await ground.log(deployment)
    assert any(_COMMIT in line for line in log)
    assert any("building on node" in line for line in log)


async def test_the_ref_of_the_request_is_built_and_recorded(app: App, ground: Ground) -> None:
    deployment = await _deploy(ground, ref="v2.0")
    assert (await _asked(ground, deployment)).ref == "v2.0"
    _, artifact = await app.deploying.deployments.get(SETUP_CALLER, deployment.id)
    assert artifact is not None
    assert isinstance(artifact.source, BuiltSource)
    assert artifact.source.git_ref == "v2.0"


@pytest.mark.parametrize(
    ("url", "ref"),
    [("https://elsewhere.example/a", "main"), (_URL, "--upload-pack=x"), (_URL, "a b"), (_URL, "main:refs/x")],
)
async def test_another_repository_and_what_is_no_ref_are_refused_at_once(ground: Ground, url: str, ref: str) -> None:
    with pytest.raises(Invalid):
        await _deploy(ground, url=url, ref=ref)


async def test_a_service_of_another_source_is_not_built_from_git(app: App) -> None:
    ground = await make_ground(app)
    deployment = await _deploy(ground)
    assert await ground.advance(deployment) is Status.FAILED
    assert (await ground.see(deployment)).reason == "the service's source is upload, not git"


async def test_an_address_that_carries_a_password_is_kept_nowhere(app: App) -> None:
    ground = await make_ground(app)
    with pytest.raises(Invalid) as caught:
        await _deploy(ground, url="https://bot:pass-word@git.example/a")
    assert "pass-word" not in caught.value.message
    page = await app.deploying.deployments.list_of_service(SETUP_CALLER, ground.service.id, Page(limit=5))
    assert page.items == ()


async def test_a_repository_that_was_changed_meanwhile_is_not_built(app: App, ground: Ground) -> None:
    deployment = await _deploy(ground)
    await _change(ground, git_source(repo_url="https://git.example/other"))
    assert await ground.advance(deployment) is Status.FAILED
    assert "another one meanwhile" in ((await ground.see(deployment)).reason or "")
    assert app.agents.asked == []


async def test_the_projects_deploy_key_and_pinned_hosts_go_with_the_ask_and_nowhere_else(app: App) -> None:
    ground = await make_ground(app, source=git_source(repo_url="git@git.example:shop/web.git", credential="ci"))
    key = make_key()
    hosts = f"git.example {make_key().public_key}"
    await app.git_credentials.create(
        SETUP_CALLER,
        ground.service.project_id,
        GitCredentialDraft(name="ci", private_key=key.private_key, known_hosts=hosts),
    )
    deployment = await _deploy(ground, url="git@git.example:shop/web.git")
    asked = await _asked(ground, deployment)
    assert isinstance(asked.credential, DeployKey)
    assert asked.credential.private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert hosts in asked.known_hosts
    assert "github.com ssh-ed25519" in asked.known_hosts
    everything = f"{await ground.log(deployment)} {await ground.see(deployment)}"
    assert asked.credential.private_key.splitlines()[1] not in everything


async def test_a_sign_in_goes_with_an_ask_over_https(app: App, ground: Ground) -> None:
    await app.git_credentials.create(
        SETUP_CALLER, ground.service.project_id, GitCredentialDraft(name="default", username="bot", password="token")
    )
    asked = await _asked(ground, await _deploy(ground))
    assert asked.credential == HttpsLogin(username="bot", password="token")


async def test_a_clone_over_https_without_a_credential_is_anonymous(ground: Ground) -> None:
    assert (await _asked(ground, await _deploy(ground))).credential is None


async def test_a_deploy_key_that_is_missing_or_shut_fails_the_deployment_with_its_reason(app: App) -> None:
    ground = await make_ground(app, source=git_source(repo_url="git@git.example:a"))
    missing = await _deploy(ground, url="")
    assert await ground.advance(missing) is Status.FAILED
    assert "no deploy key named 'default'" in ((await ground.see(missing)).reason or "")
    project_id = ground.service.project_id
    await app.git_credentials.create(SETUP_CALLER, project_id, GitCredentialDraft(name="default"))
    app.secrets.shut = set(app.secrets.kept)
    shut = await _deploy(ground, url="")
    assert await ground.advance(shut) is Status.FAILED
    await app.git_credentials.delete(SETUP_CALLER, project_id, name="default")
    await app.git_credentials.create(
        SETUP_CALLER, project_id, GitCredentialDraft(name="default", username="u", password="p")
    )
    other = await _deploy(ground, url="")
    assert await ground.advance(other) is Status.FAILED
    assert "is for https" in ((await ground.see(other)).reason or "")


async def test_what_the_node_says_of_a_failed_clone_is_the_reason(app: App, ground: Ground) -> None:
    app.agents.events = [WorkFailed(code="host_key_unknown", message="cannot clone: the host key is not known")]
    deployment = await _deploy(ground)
    assert await ground.advance(deployment) is Status.FAILED
    assert (await ground.see(deployment)).reason == "cannot clone: the host key is not known"


async def test_any_kept_artifact_is_run_again_without_a_clone(app: App, ground: Ground) -> None:
    for number in range(3):
        app.agents.events = [_built(number, commit=f"{number:040x}")]
        await ground.make_healthy(await _deploy(ground, ref=f"v{number}"))
        await app.clock.advance(1)
    asked = len(app.agents.asked)
    rolled_back = await app.deploying.actions.act(SETUP_CALLER, ground.service.id, Action.ROLLBACK, word="rollback")
    assert rolled_back is not None
    await ground.make_healthy(rolled_back)
    _, artifact = await app.deploying.deployments.get(SETUP_CALLER, rolled_back.id)
    assert artifact is not None
    assert isinstance(artifact.source, BuiltSource)
    assert artifact.source.commit == f"{1:040x}"
    async with app.database.read() as tx:
        kept = await DeploymentStore().list_of_service(tx, ground.service.id)
    oldest = kept[-1][1]
    assert oldest is not None
    chosen = await ground.deploy(RedeployRequest(service_id=ground.service.id, artifact_id=oldest.id))
    await ground.advance(chosen)
    (replica,) = await ground.replicas(chosen)
    assert replica.config.image == f"shop/web@sha256:{0:064x}"
    await ground.report(chosen, ReplicaState.HEALTHY)
    assert await ground.advance(chosen) is Status.HEALTHY
    assert len(app.agents.asked) == asked


async def test_an_artifact_of_another_service_is_unknown(app: App, ground: Ground) -> None:
    app.agents.events = [_built()]
    deployment = await ground.make_healthy(await _deploy(ground))
    _, artifact = await app.deploying.deployments.get(SETUP_CALLER, deployment.id)
    assert artifact is not None
    assert artifact.digest != DIGEST
    other = await app.services.put(SETUP_CALLER, ground.draft("other"))
    with pytest.raises(ArtifactNotFound):
        await ground.deploy(RedeployRequest(service_id=other.id, artifact_id=artifact.id))
