"""What the image registry needs from outside: its rows, and the folder of blobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from controld.core.ports import Transaction
from controld.model.registry import (
    Blob,
    BlobUpload,
    HeldManifest,
    Manifest,
    ManifestFacts,
    NodeClaims,
    RegistryTotals,
    Repository,
    RepositoryView,
    StoredBlob,
)
from controld.model.registry import Collection as GarbageCollection

LOCK: Final = "registry"


class Part(Protocol):
    """The file of an upload, held by one writer."""

    @property
    def offset(self) -> int:
        """How many bytes it has."""
        ...

    async def append(self, chunks: AsyncIterator[bytes], *, limit_bytes: int) -> None:
        """Write what comes to the end; raises BlobTooLarge and BlobStoreFull."""
        ...

    async def truncate(self, offset: int) -> None:
        """Drop what lies behind the offset."""
        ...

    async def seal(self, digest: str) -> None:
        """Make sure that the bytes have this digest and are on the disk; raises DigestInvalid."""
        ...


class BlobFiles(Protocol):
    """Blobs by digest, and uploads by id."""

    async def create(self, upload_id: str) -> None:
        """Begin an upload with nothing in it."""
        ...

    async def measure(self, upload_id: str) -> int:
        """How many bytes of an upload have come; raises BlobUploadNotFound."""
        ...

    def writing(self, upload_id: str) -> AbstractAsyncContextManager[Part]:
        """The upload for this writer alone; raises BlobUploadNotFound and BlobUploadBusy."""
        ...

    async def discard(self, upload_id: str) -> None:
        """Remove an upload, if it is there."""
        ...

    async def list_uploads(self) -> Mapping[str, dt.datetime]:
        """When each upload was last written to."""
        ...

    async def publish(self, upload_id: str, digest: str) -> None:
        """Make a sealed upload the blob of that digest."""
        ...

    async def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        ...

    def path_of(self, digest: str) -> Path:
        """Where the blob is, if it is here."""
        ...

    async def list_slices(self) -> list[str]:
        """Names of the parts that the blobs are spread over."""
        ...

    async def list_blobs(self, slice_name: str) -> list[StoredBlob]:
        """The blobs in one part."""
        ...

    async def delete(self, digests: Iterable[str]) -> None:
        """Remove blobs, where they are here."""
        ...


class RegistryStore(Protocol):
    """Repositories, manifests, tags and which blobs belong where.

    Whoever changes what a repository holds, or removes what none holds, does so in a transaction under `LOCK`.
    """

    async def find_repository(self, tx: Transaction, project: str, *, service: str) -> Repository | None:
        """The repository of a service, by names."""
        ...

    async def create_repository(self, tx: Transaction, repository: Repository, *, id: str, at: dt.datetime) -> str:
        """The id of the service's repository, which is made if it is not there."""
        ...

    async def find_node_claims(self, tx: Transaction, node_id: str, *, service_id: str) -> NodeClaims:
        """What a node has to do with a service."""
        ...

    async def list_repositories(self, tx: Transaction) -> list[RepositoryView]:
        """All repositories with their tags, by name."""
        ...

    async def list_names(self, tx: Transaction, *, reach: Collection[str] | None) -> list[str]:
        """Names of the repositories of these projects, or of all, sorted by their bytes."""
        ...

    async def find_totals(self, tx: Transaction) -> RegistryTotals:
        """Sums over all repositories."""
        ...

    async def link_blob(
        self, tx: Transaction, repository_id: str, *, digest: str, size_bytes: int, at: dt.datetime
    ) -> None:
        """Note that a repository holds a blob, as of now."""
        ...

    async def find_blob(self, tx: Transaction, repository_id: str, *, digest: str) -> Blob | None:
        """A blob of the repository."""
        ...

    async def list_holders(self, tx: Transaction, digest: str) -> list[Repository]:
        """The repositories that hold a blob, by name."""
        ...

    async def unlink_blob(self, tx: Transaction, repository_id: str, *, digest: str) -> bool:
        """Take a blob out of the repository; whether it was there."""
        ...

    async def find_missing(self, tx: Transaction, repository_id: str, *, facts: ManifestFacts) -> list[str]:
        """Digests that the manifest names and the repository does not hold, sorted."""
        ...

    async def save_manifest(
        self, tx: Transaction, repository_id: str, *, manifest: Manifest, facts: ManifestFacts, at: dt.datetime
    ) -> None:
        """Keep a manifest and what it refers to."""
        ...

    async def find_manifest(self, tx: Transaction, repository_id: str, *, digest: str) -> Manifest | None:
        """A manifest of the repository by its digest."""
        ...

    async def find_tagged(self, tx: Transaction, repository_id: str, *, tag: str) -> Manifest | None:
        """A manifest of the repository by a tag."""
        ...

    async def touch_manifest(self, tx: Transaction, repository_id: str, *, digest: str, at: dt.datetime) -> None:
        """Note that a manifest was of use."""
        ...

    async def delete_manifest(self, tx: Transaction, repository_id: str, *, digest: str) -> bool:
        """Remove a manifest and its tags; whether it was there."""
        ...

    async def set_tag(self, tx: Transaction, repository_id: str, *, tag: str, digest: str, at: dt.datetime) -> None:
        """Let a tag name a manifest from now on, and touch the one that it named."""
        ...

    async def delete_tag(self, tx: Transaction, repository_id: str, *, tag: str, at: dt.datetime) -> bool:
        """Remove a tag, and touch what it named; whether it was there."""
        ...

    async def list_tags(self, tx: Transaction, repository_id: str, *, after: str, limit: int) -> list[str]:
        """Tags that sort behind `after`, by their bytes."""
        ...

    async def list_referrers(
        self, tx: Transaction, repository_id: str, *, subject: str, artifact_type: str | None, after: str, limit: int
    ) -> list[Manifest]:
        """Manifests with this subject whose digest sorts behind `after`, by digest."""
        ...

    async def create_upload(self, tx: Transaction, upload: BlobUpload) -> None:
        """Keep a new upload."""
        ...

    async def find_upload(self, tx: Transaction, upload_id: str) -> BlobUpload | None:
        """An upload by its id."""
        ...

    async def touch_upload(self, tx: Transaction, upload_id: str, *, received_bytes: int, at: dt.datetime) -> None:
        """Note how far an upload has come."""
        ...

    async def delete_upload(self, tx: Transaction, upload_id: str) -> bool:
        """Forget an upload; whether it was there."""
        ...

    async def list_uploads(self, tx: Transaction) -> list[BlobUpload]:
        """All uploads."""
        ...

    async def list_aged(self, tx: Transaction, *, before: dt.datetime) -> list[str]:
        """Ids of the repositories that have a manifest which was not touched since that moment."""
        ...

    async def list_held(self, tx: Transaction, repository_id: str) -> list[HeldManifest]:
        """All manifests of a repository."""
        ...

    async def sum_project(self, tx: Transaction, project_id: str) -> int:
        """Bytes of the blobs that the project's repositories hold, each once."""
        ...

    async def unlink_unused(self, tx: Transaction, *, before: dt.datetime) -> int:
        """Take blobs that no manifest of their repository needs, linked before that moment, out of it; how many."""
        ...

    async def find_needed(self, tx: Transaction, digests: Collection[str]) -> set[str]:
        """Those of the digests that some repository holds or needs."""
        ...

    async def save_collection(self, tx: Transaction, collection: GarbageCollection) -> None:
        """Remember the last garbage collection."""
        ...

    async def find_collection(self, tx: Transaction) -> GarbageCollection | None:
        """The last garbage collection."""
        ...
