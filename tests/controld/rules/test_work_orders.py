"""An order names its repository, and what came of it is remembered as what it was made from."""

from __future__ import annotations

import dataclasses

from controld.model.artifact import BuiltSource, ContextSource, ImageSource
from controld.model.deployment import DeploymentRequest, GitRequest, ImageRequest, UploadRequest
from controld.rules.work_orders import describe_source, make_order
from tests.controld.deploying import git_source
from tests.controld.rules.test_deployment import LAUNCH, make_facts
from tests.fakes.agents import BUILT

_GIT = GitRequest(service_id="s", repo_url=git_source().repo_url, git_ref="v1")


def test_an_order_carries_the_stored_repository_to_the_node() -> None:
    facts = make_facts(_GIT, launch=dataclasses.replace(LAUNCH, git=git_source(), image=None))
    order = make_order(facts)
    assert (order.git, order.project_id, order.request) == (git_source(), "p", _GIT)
    assert (order.repository, order.tag) == ("shop/web", "deployment-1")


def test_an_artifact_says_what_it_was_made_from() -> None:
    upload = UploadRequest(service_id="s", upload_id="u", dockerfile_path="D", context_path=".")
    cases: list[tuple[DeploymentRequest, object]] = [
        (upload, ContextSource(upload_id="u", dockerfile_path="D", context_path=".")),
        (ImageRequest(service_id="s", image="recorded only"), ImageSource(image="nginx")),
        (
            _GIT,
            BuiltSource(
                repo_url=_GIT.repo_url,
                git_ref="v1",
                dockerfile_path="docker/Dockerfile",
                context_path="app",
                commit=None,
            ),
        ),
    ]
    for request, source in cases:
        facts = make_facts(request, launch=dataclasses.replace(LAUNCH, git=git_source()))
        assert describe_source(facts, BUILT) == source
