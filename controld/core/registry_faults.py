"""What can fail in the image registry, in words that its surface maps to those of the OCI specification."""

from __future__ import annotations

from kit.faults import Conflict, Invalid, NotFound, RangeNotSatisfiable, TooLarge, Unauthenticated, Unavailable


class RepositoryNotFound(NotFound):
    """No such repository, for this caller."""

    code = "repository_not_found"


class ScopeInsufficient(Unauthenticated):
    """The registry token was fetched for something else; a fresh one for this will do."""

    code = "scope_insufficient"


class BlobNotFound(NotFound):
    """The repository does not hold the blob."""

    code = "blob_not_found"


class ManifestNotFound(NotFound):
    """The repository does not hold the manifest or the tag."""

    code = "manifest_not_found"


class BlobUploadNotFound(NotFound):
    """No such upload in this repository; it may have ended or expired."""

    code = "blob_upload_not_found"


class BlobUploadBusy(Conflict):
    """Another request is writing to the upload."""

    code = "blob_upload_busy"


class BlobUploadInvalid(Invalid):
    """The chunk is not what its headers say."""

    code = "blob_upload_invalid"


class ChunkOutOfOrder(RangeNotSatisfiable):
    """The chunk does not begin where the upload stands."""

    code = "chunk_out_of_order"


class BlobRangeInvalid(RangeNotSatisfiable):
    """Nothing of the asked part is there; `details["size"]` says how many bytes are."""

    code = "blob_range_invalid"


class BlobTooLarge(TooLarge):
    """The blob passes the size limit."""

    code = "blob_too_large"


class ProjectFull(TooLarge):
    """The blob would take the project's images past their limit."""

    code = "project_full"


class ManifestTooLarge(TooLarge):
    """The manifest passes the size limit."""

    code = "manifest_too_large"


class DigestInvalid(Invalid):
    """The digest cannot be read, or is not that of the bytes."""

    code = "digest_invalid"


class ManifestInvalid(Invalid):
    """The manifest, or the name that it is pushed under, cannot be used."""

    code = "manifest_invalid"


class ManifestBlobUnknown(Invalid):
    """The manifest names something that the repository does not hold; `details["digest"]` says what."""

    code = "manifest_blob_unknown"


class BlobStoreFull(Unavailable):
    """The folder of blobs cannot be written to: its disk is full or failing."""

    code = "blob_store_full"
