"""How the registry words a fault: the error list of the OCI specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from controld.core import registry_faults as faults
from kit.faults import Fault, Kind

REALM: Final = "Moorage Registry"

_BY_FAULT: Final[Mapping[type[Fault], str]] = {
    faults.BlobNotFound: "BLOB_UNKNOWN",
    faults.BlobUploadBusy: "BLOB_UPLOAD_INVALID",
    faults.BlobUploadInvalid: "BLOB_UPLOAD_INVALID",
    faults.BlobUploadNotFound: "BLOB_UPLOAD_UNKNOWN",
    faults.ChunkOutOfOrder: "BLOB_UPLOAD_INVALID",
    faults.DigestInvalid: "DIGEST_INVALID",
    faults.ManifestBlobUnknown: "MANIFEST_BLOB_UNKNOWN",
    faults.ManifestInvalid: "MANIFEST_INVALID",
    faults.ManifestNotFound: "MANIFEST_UNKNOWN",
    faults.RepositoryNotFound: "NAME_UNKNOWN",
}
_BY_KIND: Final[Mapping[Kind, str]] = {
    Kind.UNAUTHENTICATED: "UNAUTHORIZED",
    Kind.FORBIDDEN: "DENIED",
    Kind.NOT_FOUND: "NAME_UNKNOWN",
    Kind.TOO_LARGE: "SIZE_INVALID",
    Kind.LIMITED: "TOOMANYREQUESTS",
    Kind.UNAVAILABLE: "UNAVAILABLE",
    Kind.TIMEOUT: "UNAVAILABLE",
    Kind.INTERNAL: "UNKNOWN",
}
_OTHER: Final = "UNSUPPORTED"


class RegistryError(msgspec.Struct, frozen=True, kw_only=True):
    """One error."""

    code: str
    message: str
    detail: dict[str, Any]


class RegistryErrors(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every failed answer."""

    errors: list[RegistryError]


def render_fault(request: web.Request, fault: Fault) -> web.StreamResponse:
    """The error list under the status of the fault's kind; 401 says how to sign in."""
    del request
    code = _BY_FAULT.get(type(fault)) or _BY_KIND.get(fault.kind, _OTHER)
    body = RegistryErrors(errors=[RegistryError(code=code, message=fault.message, detail=dict(fault.details))])
    headers = {"WWW-Authenticate": f'Basic realm="{REALM}"'} if fault.kind is Kind.UNAUTHENTICATED else {}
    return web.Response(
        status=fault.status, body=msgspec.json.encode(body), headers=headers, content_type="application/json"
    )
