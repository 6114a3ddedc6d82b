"""Deployments for people and programs: ask for one, look at it, follow its log, end it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from controld.core.faults import (
    ArtifactNotFound,
    DeploymentFinished,
    DeploymentNotFound,
    ServiceNotFound,
    UploadExpired,
    UploadNotFound,
)
from controld.core.kept_logs import KeptLogs, KeptQuery, Standing
from controld.core.ports import Database, Feed, Transaction
from controld.core.ports_deployments import (
    ArtifactStore,
    AuditTrail,
    DeploymentLogStore,
    DeploymentStore,
    LaunchStore,
    UploadStore,
)
from controld.model.artifact import Artifact
from controld.model.caller import Caller
from controld.model.deployment import (
    Deployment,
    DeploymentRequest,
    GitRequest,
    LogLine,
    RedeployRequest,
    Status,
    UploadRequest,
)
from controld.model.launch import Launch
from controld.model.page import Page, Paged
from controld.rules import deployment_log as phases
from controld.rules.access import check
from controld.rules.validation_git import check_ref
from kit.clock import Clock
from kit.faults import Invalid
from kit.git_url import parse_git_url
from kit.ids import Ids

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

LogNews = list[LogLine] | Status
"""Lines of a log in their order, or the status that ended it."""


class Deployments:
    """What callers may ask of deployments; permission is asked here."""

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        deployments: DeploymentStore,
        artifacts: ArtifactStore,
        logs: DeploymentLogStore,
        launches: LaunchStore,
        uploads: UploadStore,
        audit: AuditTrail,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._deployments = deployments
        self._artifacts = artifacts
        self._logs = logs
        self._launches = launches
        self._uploads = uploads
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._kept: KeptLogs[Status] = KeptLogs(
            database=database,
            feed=feed,
            logs=logs,
            kinds=("deployment", "deployment_log", "service"),
            what="deployments",
        )

    async def create(self, caller: Caller, request: DeploymentRequest) -> Deployment:
        """Write down that a deployment is wanted; it begins when the older ones of its service have ended.

        Raises ServiceNotFound, ArtifactNotFound, UploadNotFound, UploadExpired, and Invalid for a repository that is
        not the stored one, a ref that none has or a text with a NUL. Whatever else is wrong with the request is told
        by the deployment, which fails; an upload that is not there is of that kind.
        """
        async with self._database.write() as tx:
            launch = await self._find_service(tx, caller, request.service_id, operation="deployment.create")
            _check_texts(request)
            if isinstance(request, GitRequest):
                request = _complete(request, launch)
            if isinstance(request, UploadRequest):
                await self._check_upload(tx, request)
            if isinstance(request, RedeployRequest) and request.artifact_id is not None:
                artifact = await self._artifacts.find(tx, request.artifact_id)
                if artifact is None or artifact.service_id != request.service_id:
                    raise ArtifactNotFound(
                        f"cannot deploy artifact {request.artifact_id}: the service has none such, or keeps it no more"
                    )
            return await self.add(tx, caller, launch, request)

    async def add(self, tx: Transaction, caller: Caller, launch: Launch, request: DeploymentRequest) -> Deployment:
        """Write down a deployment whose caller has been found to be allowed it."""
        now = self._clock.now()
        deployment = Deployment(
            id=self._ids.new_id(),
            service_id=launch.service_id,
            number=await self._deployments.next_number(tx, launch.service_id),
            request=request,
            status=Status.PENDING,
            created_at=now,
            phase_at=now,
            created_by=caller.user_id,
        )
        await self._deployments.insert(tx, deployment)
        kind = type(request).__struct_config__.tag
        text = f"deployment {deployment.number} of {launch.project}/{launch.service} by {kind}"
        await self._logs.append(tx, deployment.id, at=now, phase=phases.START, texts=[phases.clean_text(text)])
        await self._record(tx, caller, deployment, launch, action="deployment.create", details={"source": str(kind)})
        return deployment

    async def get(self, caller: Caller, deployment_id: str) -> tuple[Deployment, Artifact | None]:
        """A deployment with its artifact; raises DeploymentNotFound."""
        async with self._database.read() as tx:
            found = await self._deployments.find_with_artifact(tx, deployment_id)
            await self._check(tx, caller, found and found[0], operation="deployment.read")
        assert found is not None
        return found

    async def cancel(self, caller: Caller, deployment_id: str) -> Deployment:
        """Ask for the end of an unfinished deployment; it fails soon after. Raises DeploymentFinished."""
        async with self._database.write() as tx:
            await tx.lock("deployments at once")
            deployment = await self._deployments.find(tx, deployment_id)
            launch = await self._check(tx, caller, deployment, operation="deployment.cancel")
            assert deployment is not None
            if launch.promoted_deployment_id == deployment.id:
                raise DeploymentFinished("cannot cancel deployment: it has taken the traffic already")
            who = caller.username or "the holder of the setup secret"
            if not await self._deployments.request_cancel(
                tx, deployment_id, at=self._clock.now(), reason=f"cancelled by {who}"
            ):
                raise DeploymentFinished(f"cannot cancel deployment: it is {deployment.status.value}")
            await self._record(tx, caller, deployment, launch, action="deployment.cancel", details={})
            found = await self._deployments.find(tx, deployment_id)
        assert found is not None
        return found

    async def follow(self, caller: Caller, deployment_id: str, *, after: int | None) -> AsyncGenerator[LogNews]:
        """Lines of the log in batches, with waits for those to come, then the final status once.

        It begins behind the line `after`, or with the newest 10,000. Raises DeploymentNotFound, and TooManyStreams past
        64 at one time; both before anything is yielded.
        """
        async with self._database.read() as tx:
            deployment = await self._deployments.find(tx, deployment_id)
            await self._check(tx, caller, deployment, operation="deployment.logs")
            after = await self._kept.begin(tx, deployment_id, KeptQuery(after=after))

        async def look(tx: Transaction) -> Standing[Status] | None:
            now = await self._deployments.find(tx, deployment_id)
            if now is None:
                return None
            return Standing((now.id, now.service_id), now.status if now.status.is_finished else None)

        return self._kept.follow(deployment_id, after=after, look=look)

    async def admit_reader(self, caller: Caller, deployment_id: str) -> None:
        """Return when the caller may read the log; raises DeploymentNotFound and Forbidden."""
        async with self._database.read() as tx:
            deployment = await self._deployments.find(tx, deployment_id)
            await self._check(tx, caller, deployment, operation="deployment.logs")

    async def list_of_service(
        self, caller: Caller, service_id: str, page: Page
    ) -> Paged[tuple[Deployment, Artifact | None]]:
        """A page of the service's deployments with their artifacts, newest first; raises ServiceNotFound."""
        async with self._database.read() as tx:
            await self._find_service(tx, caller, service_id, operation="deployment.read")
            found = await self._deployments.list_of_service(tx, service_id, page=page)
        return Paged.cut(found, page, id_of=lambda pair: pair[0].id)

    async def _check_upload(self, tx: Transaction, request: UploadRequest) -> None:
        if _UUID.fullmatch(request.upload_id) is None:
            return
        upload = await self._uploads.find(tx, request.upload_id)
        if upload is None:
            return
        if upload.service_id != request.service_id:
            raise UploadNotFound(f"cannot deploy upload {upload.id}: the service has none such")
        if self._clock.now() >= upload.expires_at:
            raise UploadExpired(
                f"cannot deploy upload {upload.id}: it expired at {phases.render_moment(upload.expires_at)}, "
                "upload again"
            )

    async def _find_service(self, tx: Transaction, caller: Caller, service_id: str, *, operation: str) -> Launch:
        launch = await self._launches.find(tx, service_id)
        missing = ServiceNotFound(f"cannot find service {service_id}")
        if launch is None:
            raise missing
        check(caller, operation, project_id=launch.project_id, missing=missing)
        return launch

    async def _check(self, tx: Transaction, caller: Caller, deployment: Deployment | None, *, operation: str) -> Launch:
        missing = DeploymentNotFound("cannot find deployment")
        launch = None if deployment is None else await self._launches.find(tx, deployment.service_id)
        if launch is None:
            raise missing
        check(caller, operation, project_id=launch.project_id, missing=missing)
        return launch

    async def _record(
        self,
        tx: Transaction,
        caller: Caller,
        deployment: Deployment,
        launch: Launch,
        *,
        action: str,
        details: dict[str, object],
    ) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="deployment",
            object_id=deployment.id,
            project_id=launch.project_id,
            details={"service_id": deployment.service_id, "number": deployment.number, **details},
        )


def _check_texts(request: DeploymentRequest) -> None:
    """No text holds a NUL, which not every database keeps or looks for."""
    for name, value in msgspec.structs.asdict(request).items():
        if isinstance(value, str) and "\0" in value:
            raise Invalid(f"cannot deploy: {name} holds a NUL")


def _complete(request: GitRequest, launch: Launch) -> GitRequest:
    """The request with what it leaves to the stored source, which names the only repository that is built."""
    if request.repo_url:
        parse_git_url(request.repo_url)  # whatever becomes of it, it is kept and shown, and may hold no password
    if launch.git is None:
        return request
    if request.repo_url not in {"", launch.git.repo_url}:
        raise Invalid(
            "cannot deploy from git: repo_url is not the repository of the service's source; change the service first"
        )
    ref = request.git_ref or launch.git.git_ref
    check_ref(ref)
    return GitRequest(service_id=request.service_id, repo_url=launch.git.repo_url, git_ref=ref)
