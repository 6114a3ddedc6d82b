"""The order that a deployment gives to the node that builds or pulls for it, and what its image was made of."""

from __future__ import annotations

from controld.model.artifact import ArtifactSource, BuiltSource, ContextSource, ImageSource
from controld.model.deployment import GitRequest, UploadRequest
from controld.model.work import WorkOrder
from controld.rules.deployment import Facts
from controld.rules.registry_names import repository_of
from wire.agent.builds import WorkDone


def make_order(facts: Facts) -> WorkOrder:
    """What to build or to pull, where, and under which name it is kept."""
    deployment, launch = facts.deployment, facts.launch
    return WorkOrder(
        id=deployment.id,
        row_id=deployment.id,
        subject_id=deployment.service_id,
        node_id=deployment.node_id,
        deadline_at=deployment.deadline_at,
        request=deployment.request,
        image=launch.image if launch.registry_id is None else launch.image_ref,
        repository=repository_of(launch),
        tag=f"deployment-{deployment.number}",
        project_id=launch.project_id,
        git=launch.git,
        registry_id=launch.registry_id,
        keeps_image=launch.registry_id is not None,
    )


def describe_source(facts: Facts, done: WorkDone) -> ArtifactSource:
    """What the image that the work ended with was made of."""
    request, git = facts.deployment.request, facts.launch.git
    if isinstance(request, UploadRequest):
        return ContextSource(
            upload_id=request.upload_id, dockerfile_path=request.dockerfile_path, context_path=request.context_path
        )
    if isinstance(request, GitRequest) and git is not None:
        return BuiltSource(
            repo_url=request.repo_url,
            git_ref=request.git_ref,
            dockerfile_path=git.dockerfile_path,
            context_path=git.context_path,
            commit=done.commit,
        )
    return ImageSource(image=facts.launch.image or "")
