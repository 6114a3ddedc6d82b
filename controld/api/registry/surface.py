"""The route table of the registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from controld.api.registry import shapes
from controld.api.registry.blobs import BlobHandlers
from controld.api.registry.envelope import TOKEN_PATH, Envelope, RegistryErrors
from controld.api.registry.manifests import ManifestHandlers
from controld.api.registry.tags import TagHandlers
from controld.api.registry.tokens import TokenHandlers
from controld.api.registry.uploads import UploadHandlers
from controld.core import registry_faults as faults
from controld.core.registry import Registry
from controld.core.registry_tokens import RegistryTokens
from controld.core.registry_uploads import RegistryUploads
from controld.model.caller import Caller
from kit.faults import Fault, Invalid, TooLarge, Unauthenticated
from kit.http.surface import PUBLIC, Answer, Ask, Route, Surface, ToldFaults

_HEADERS: Final = {"Docker-Distribution-Api-Version": "registry/2.0", "X-Content-Type-Options": "nosniff"}
_BYTES: Final = "application/octet-stream"
_REPOSITORY: Final = "/v2/{project}/{service}"
_UPLOADS: Final = f"{_REPOSITORY}/blobs/uploads"
_UPLOAD: Final = _UPLOADS + "/{upload_id}"
_BLOB: Final = _REPOSITORY + "/blobs/{digest}"
_MANIFEST: Final = _REPOSITORY + "/manifests/{reference}"
_PULL, _PUSH = "viewer", "operator"
_IN: Final[tuple[type[Fault], ...]] = (
    faults.RepositoryNotFound,
    faults.BlobUploadNotFound,
    faults.BlobUploadBusy,
    faults.BlobUploadInvalid,
    faults.ChunkOutOfOrder,
    faults.BlobTooLarge,
    faults.ProjectFull,
    faults.BlobStoreFull,
)


def make_surface(
    registry: Registry,
    uploads: RegistryUploads,
    *,
    authenticate: Callable[[web.Request], Awaitable[Caller | None]],
    max_manifest_bytes: int,
    note_forbidden: Callable[[Caller, str, Fault], None] | None = None,
    tokens: RegistryTokens | None = None,
    realm: str | None = None,
) -> Surface:
    """The registry for callers that `authenticate` recognises: people by token, or nodes by certificate.

    With `tokens` it has a token endpoint; `realm` is the address of that endpoint, where it is to be asked for.
    """
    manifests = ManifestHandlers(registry, max_manifest_bytes=max_manifest_bytes)
    return Surface(
        name="registry",
        title="Moorage image registry",
        version="1.1",
        claims=("/v2",),
        routes=(
            Route(
                method="GET",
                path="/v2/",
                aliases=("/v2",),
                access="any",
                handler=_show_version,
                summary="Whether the registry speaks this API and knows the caller",
            ),
            Route(
                method="GET",
                path=_REPOSITORY + "/tags/list",
                access=_PULL,
                handler=TagHandlers(registry).list,
                summary="Tags in the order of their bytes",
                query=shapes.PageQuery,
                answer=shapes.TagList,
                faults=(faults.RepositoryNotFound,),
            ),
            Route(
                method="GET",
                path="/v2/_catalog",
                access="any",
                handler=TagHandlers(registry).list_repositories,
                summary="Repositories that the caller may pull from, in the order of their bytes",
                query=shapes.PageQuery,
                answer=shapes.Catalog,
            ),
            *(() if tokens is None else _token_routes(TokenHandlers(tokens))),
            *_manifest_routes(manifests),
            *_blob_routes(BlobHandlers(registry)),
            *_upload_routes(UploadHandlers(uploads)),
        ),
        authenticate=authenticate,
        render_fault=Envelope(realm).render,
        credential_first=True,
        response_headers=_HEADERS,
        told_faults=ToldFaults(shape=RegistryErrors),
        note_forbidden=note_forbidden,
    )


async def _show_version(ask: Ask) -> object:
    del ask
    return Answer(200, b"")


def _token_routes(tokens: TokenHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=TOKEN_PATH,
            access="any",
            handler=tokens.get,
            summary="A token of a few minutes for the scopes that are asked for",
            query=shapes.TokenQuery,
            answer=shapes.IssuedToken,
            faults=(Unauthenticated,),
        ),
        Route(
            method="POST",
            path=TOKEN_PATH,
            access=PUBLIC,
            handler=tokens.post,
            summary="The same for a credential in an OAuth 2 form",
            raw_body="application/x-www-form-urlencoded",
            answer=shapes.IssuedToken,
            faults=(Unauthenticated, Invalid, TooLarge),
        ),
    )


def _manifest_routes(manifests: ManifestHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_MANIFEST,
            access=_PULL,
            handler=manifests.get,
            summary="A manifest by tag or digest",
            faults=(faults.RepositoryNotFound, faults.ManifestNotFound),
        ),
        Route(
            method="PUT",
            path=_MANIFEST,
            access=_PUSH,
            handler=manifests.put,
            summary="Push a manifest",
            raw_body="application/vnd.oci.image.manifest.v1+json",
            status=201,
            faults=(
                faults.RepositoryNotFound,
                faults.ManifestInvalid,
                faults.ManifestBlobUnknown,
                faults.ManifestTooLarge,
                faults.DigestInvalid,
                faults.BlobStoreFull,
            ),
        ),
        Route(
            method="DELETE",
            path=_MANIFEST,
            access=_PUSH,
            handler=manifests.delete,
            summary="Remove a tag, or a manifest with its tags",
            status=202,
            faults=(faults.RepositoryNotFound, faults.ManifestNotFound),
        ),
        Route(
            method="GET",
            path=_REPOSITORY + "/referrers/{digest}",
            access=_PULL,
            handler=manifests.list_referrers,
            summary="Manifests that refer to one",
            query=shapes.ReferrersQuery,
            answer=shapes.Index,
            faults=(faults.RepositoryNotFound, faults.DigestInvalid),
        ),
    )


def _blob_routes(blobs: BlobHandlers) -> tuple[Route, ...]:
    unknown = (faults.RepositoryNotFound, faults.BlobNotFound, faults.DigestInvalid)
    return (
        Route(
            method="GET",
            path=_BLOB,
            access=_PULL,
            handler=blobs.get,
            summary="A blob, or a range of it",
            faults=unknown,
        ),
        Route(
            method="DELETE",
            path=_BLOB,
            access=_PUSH,
            handler=blobs.delete,
            summary="Take a blob out of the repository",
            status=202,
            faults=unknown,
        ),
    )


def _upload_routes(uploads: UploadHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=_UPLOADS + "/",
            aliases=(_UPLOADS,),
            access=_PUSH,
            handler=uploads.start,
            summary="Begin an upload, mount a blob, or push a whole one",
            query=shapes.UploadQuery,
            raw_body=_BYTES,
            status=202,
            faults=(*_IN, faults.DigestInvalid),
        ),
        Route(
            method="GET",
            path=_UPLOAD,
            access=_PUSH,
            handler=uploads.show,
            summary="How far an upload has come",
            status=204,
            faults=(faults.RepositoryNotFound, faults.BlobUploadNotFound),
        ),
        Route(
            method="PATCH",
            path=_UPLOAD,
            access=_PUSH,
            handler=uploads.append,
            summary="Add a chunk",
            raw_body=_BYTES,
            status=202,
            faults=_IN,
        ),
        Route(
            method="PUT",
            path=_UPLOAD,
            access=_PUSH,
            handler=uploads.finish,
            summary="Add what is left and finish",
            query=shapes.FinishQuery,
            raw_body=_BYTES,
            status=201,
            faults=(*_IN, faults.DigestInvalid),
        ),
        Route(
            method="DELETE",
            path=_UPLOAD,
            access=_PUSH,
            handler=uploads.cancel,
            summary="End an upload",
            status=204,
            faults=(faults.RepositoryNotFound, faults.BlobUploadNotFound, faults.BlobUploadBusy),
        ),
    )
