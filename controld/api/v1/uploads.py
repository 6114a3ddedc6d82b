"""Uploads of build contexts."""

from __future__ import annotations

from controld.api.v1.shapes_deployment import UploadShape, render_upload
from controld.core.faults import (
    ServiceNotFound,
    StorageFailed,
    StorageFull,
    TooManyUploads,
    UploadStalled,
    UploadTooLarge,
)
from controld.core.uploads import Uploads
from kit.archive.faults import CompressedTooLarge
from kit.faults import Forbidden, Invalid
from kit.http.surface import Ask, Route


def routes(uploads: Uploads) -> tuple[Route, ...]:
    """The rows of this file."""

    async def create_upload(ask: Ask) -> UploadShape:
        service_id = ask.path["service_id"]
        await uploads.admit(ask.caller, service_id, announced_bytes=ask.request.content_length)
        return render_upload(await uploads.create(ask.caller, service_id, ask.request.content.iter_any()))

    return (
        Route(
            method="POST",
            path="/v1/services/{service_id}/uploads",
            access="operator",
            handler=create_upload,
            summary="Stage a tar.zst as the build context of the service's next deployment",
            raw_body="application/zstd",
            answer=UploadShape,
            faults=(
                Invalid,
                Forbidden,
                ServiceNotFound,
                UploadTooLarge,
                CompressedTooLarge,
                UploadStalled,
                TooManyUploads,
                StorageFull,
                StorageFailed,
            ),
        ),
    )
