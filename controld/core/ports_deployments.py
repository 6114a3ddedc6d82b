"""What deployments need from outside beside the ports of every noun."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from controld.core.ports import Transaction
from controld.model.artifact import Artifact
from controld.model.caller import Caller
from controld.model.deployment import Deployment, LogLine, Status
from controld.model.fleet import NodeFacts
from controld.model.launch import Launch
from controld.model.page import Page
from controld.model.replica import PlacedReplica
from controld.model.upload import Upload
from kit.archive.summary import Summary
from wire.spec import Wanted

RowT_co = TypeVar("RowT_co", covariant=True)


class AuditTrail(Protocol):
    """Where changes are written down."""

    async def record(
        self,
        tx: Transaction,
        caller: Caller,
        *,
        action: str,
        object_kind: str,
        object_id: str | None = None,
        project_id: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Note that the caller did this, in the transaction of the change itself."""
        ...


class FleetFacts(Protocol):
    """Nodes with their newest reports."""

    async def list_nodes(self) -> tuple[NodeFacts, ...]:
        """Every node that is not removed."""
        ...


class WorkRow(Protocol):
    """What a row says to the work that is done for it."""

    @property
    def cancel_requested_at(self) -> dt.datetime | None:
        """When somebody asked for its end; None: nobody has."""
        ...


class LeasedRows(Protocol[RowT_co]):
    """Rows that one controld at a time works on, under a lease."""

    async def find(self, tx: Transaction, row_id: str, /) -> RowT_co | None:
        """The row, or None."""
        ...

    async def claim(
        self, tx: Transaction, row_id: str, /, *, owner: str, now: dt.datetime, until: dt.datetime
    ) -> RowT_co | None:
        """Take the lease when nobody holds it; the row as it is now, or None."""
        ...

    async def renew(self, tx: Transaction, row_id: str, /, *, owner: str, until: dt.datetime) -> RowT_co | None:
        """Hold the lease for longer; the row as it is now, or None when the lease is another's or it is gone."""
        ...

    async def release(self, tx: Transaction, row_id: str, /, *, owner: str) -> None:
        """Give the lease back."""
        ...

    async def release_all(self, tx: Transaction) -> None:
        """Drop every lease."""
        ...


class WorkLog(Protocol):
    """Where work says what it does."""

    async def append(
        self, tx: Transaction, row_id: str, /, *, at: dt.datetime, phase: str, texts: Sequence[str]
    ) -> None:
        """Add lines of one phase and moment."""
        ...

    async def count_output(
        self, tx: Transaction, row_id: str, /, *, phase: str, after_phase: str
    ) -> tuple[int, int, int]:
        """Lines of `phase` since the last line of `after_phase`, then lines and characters of `phase` in all."""
        ...


class DeploymentStore(LeasedRows[Deployment], Protocol):
    """Deployments, and the lease under which their steps are taken."""

    async def insert(self, tx: Transaction, deployment: Deployment) -> None:
        """Keep a new deployment."""
        ...

    async def next_number(self, tx: Transaction, service_id: str) -> int:
        """The number that the service's next deployment gets; the transaction holds it for itself."""
        ...

    async def find_with_artifact(
        self, tx: Transaction, deployment_id: str
    ) -> tuple[Deployment, Artifact | None] | None:
        """The deployment with the artifact that it runs."""
        ...

    async def list_of_service(
        self, tx: Transaction, service_id: str, *, page: Page | None = None
    ) -> list[tuple[Deployment, Artifact | None]]:
        """The service's deployments with their artifacts, newest first: all, or a page and one more."""
        ...

    async def list_current(self, tx: Transaction, *, projects: Collection[str] | None = None) -> list[Deployment]:
        """For each service the promoted deployment, or the newest while none is; with `projects`, of those in these."""
        ...

    async def list_unfinished(self, tx: Transaction) -> list[Deployment]:
        """Every deployment with a step left, the oldest of each service ahead of its others."""
        ...

    async def change(self, tx: Transaction, deployment: Deployment, *, owner: str, **changes: Any) -> bool:
        """Write columns while the lease is still the owner's and the status is the one given; whether it was."""
        ...

    async def request_cancel(self, tx: Transaction, deployment_id: str, *, at: dt.datetime, reason: str) -> bool:
        """Ask for its end; whether a step was left to be taken. The first to ask gives the reason."""
        ...

    async def retire(self, tx: Transaction, service_id: str, *, status: Status, but: str | None = None) -> None:
        """Give the service's healthy deployments, except `but`, this status."""
        ...


class DeploymentLogStore(Protocol):
    """Lines of deployments' logs."""

    async def append(
        self, tx: Transaction, deployment_id: str, *, at: dt.datetime, phase: str, texts: Sequence[str]
    ) -> None:
        """Add lines of one phase and moment."""
        ...

    async def read(self, tx: Transaction, deployment_id: str, *, after: int, limit: int) -> list[LogLine]:
        """Up to `limit` lines with a greater `seq`, oldest first."""
        ...

    async def last_seq(self, tx: Transaction, deployment_id: str) -> int:
        """The number of the newest line, 0 when there is none."""
        ...

    async def count_output(
        self, tx: Transaction, deployment_id: str, *, phase: str, after_phase: str
    ) -> tuple[int, int, int]:
        """Lines of `phase` since the last line of `after_phase`, then lines and characters of `phase` in all."""
        ...


class ArtifactStore(Protocol):
    """Artifacts."""

    async def insert(self, tx: Transaction, artifact: Artifact) -> None:
        """Keep a new artifact."""
        ...

    async def find(self, tx: Transaction, artifact_id: str) -> Artifact | None:
        """The artifact, or None."""
        ...

    async def find_of_deployment(self, tx: Transaction, deployment_id: str) -> Artifact | None:
        """The artifact that a deployment runs, or None."""
        ...

    async def list_images(self, tx: Transaction) -> list[Artifact]:
        """Every artifact that is kept, one of each image."""
        ...

    async def prune(self, tx: Transaction, service_id: str, *, keep: int) -> None:
        """Drop all but the newest `keep` of a service; what is promoted or about to run stays."""
        ...


class ReplicaStore(Protocol):
    """Placed replicas; each change tells the feed of the nodes whose spec it changes."""

    async def insert(self, tx: Transaction, placed: Sequence[PlacedReplica]) -> None:
        """Keep new replicas."""
        ...

    async def list_of_deployment(self, tx: Transaction, deployment_id: str) -> list[PlacedReplica]:
        """The deployment's replicas by index, draining ones included."""
        ...

    async def list_of_service(self, tx: Transaction, service_id: str) -> list[PlacedReplica]:
        """The service's replicas by index, draining ones included."""
        ...

    async def list_of_node(self, tx: Transaction, node_id: str) -> list[PlacedReplica]:
        """The replicas that are placed on the node, draining ones included."""
        ...

    async def list_wanted(self, tx: Transaction, wanted: Wanted) -> list[PlacedReplica]:
        """All replicas of which this is wanted."""
        ...

    async def drain(self, tx: Transaction, drained: Iterable[PlacedReplica], *, at: dt.datetime) -> None:
        """Want these to drain from now on; those that drain already keep their moment."""
        ...

    async def delete(self, tx: Transaction, removed: Sequence[PlacedReplica], *, at: dt.datetime) -> None:
        """Forget these, but for where their logs are: their nodes drop what they still run of them."""
        ...

    async def list_log_nodes(self, tx: Transaction, service_id: str) -> list[str]:
        """The ids of the nodes that have replicas of the service, or had some lately and may have their logs."""
        ...


class LaunchStore(Protocol):
    """Services as they would be launched now."""

    async def find(self, tx: Transaction, service_id: str) -> Launch | None:
        """The service, or None."""
        ...

    async def list_promoted(self, tx: Transaction) -> list[Launch]:
        """Every service that has a promoted deployment."""
        ...

    async def list_scaled(self, tx: Transaction) -> list[Launch]:
        """Every service with a promoted deployment and a policy that says how many replicas it has."""
        ...

    async def scale(self, tx: Transaction, service_id: str, *, count: int, problem: str | None) -> None:
        """Note how many replicas the service's policy calls for, and why there are not more; with none it sleeps."""
        ...

    async def list_waking(self, tx: Transaction) -> list[Launch]:
        """Every promoted service that is asleep and should run."""
        ...

    async def end_sleep(self, tx: Transaction, service_id: str) -> None:
        """Note that a replica of the service takes requests."""
        ...

    async def promote(self, tx: Transaction, service_id: str, deployment_id: str | None) -> None:
        """Let the service's hosts lead to this deployment alone, or to none."""
        ...

    async def roll(self, tx: Transaction, service_id: str, deployment_id: str | None) -> None:
        """Let the service's hosts lead to this deployment beside the promoted one, or to that alone again."""
        ...


class UploadStore(Protocol):
    """What is known of uploads."""

    async def insert(self, tx: Transaction, upload: Upload) -> None:
        """Keep a new upload."""
        ...

    async def find(self, tx: Transaction, upload_id: str) -> Upload | None:
        """The upload, or None."""
        ...

    async def delete(self, tx: Transaction, upload_id: str) -> None:
        """Forget it; no error when it is gone."""
        ...

    async def list_expired(self, tx: Transaction, now: dt.datetime) -> list[Upload]:
        """Those whose time is over."""
        ...

    async def list_ids(self, tx: Transaction) -> frozenset[str]:
        """The ids of all."""
        ...


class UploadFiles(Protocol):
    """The bytes of uploads."""

    async def receive(self, upload_id: str, chunks: AsyncIterator[bytes]) -> Summary:
        """Write and check an archive while it arrives; on any failure nothing of it is left."""
        ...

    def path(self, upload_id: str) -> Path:
        """Where the archive is."""
        ...

    async def remove(self, upload_id: str) -> None:
        """Drop the archive; no error when it is gone."""
        ...

    async def list_settled(self, *, older_than_seconds: float) -> frozenset[str]:
        """Ids of archives, whole ones and abandoned ones, that were last written so long ago."""
        ...
