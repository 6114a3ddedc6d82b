"""How the registry words a fault: the error list of the OCI specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from controld.api.registry.auth import needed_by
from controld.core import registry_faults as faults
from controld.rules.registry_scope import render_scopes
from kit.faults import Fault, Kind

REALM: Final = "Moorage Registry"
SERVICE: Final = "moorage"
TOKEN_PATH: Final = "/v2/token"

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
    Kind.RANGE: "RANGE_INVALID",
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


class Envelope:
    """Words faults; a 401 says how to sign in.

    With a `realm`, the address of the token endpoint, callers are asked to fetch a token there; without one, and at the
    endpoint itself, for Basic. Each answer holds one challenge, as many clients read the first alone.
    """

    def __init__(self, realm: str | None) -> None:
        self._realm = realm

    def render(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """The error list under the status of the fault's kind."""
        response = _render(fault)
        if isinstance(fault, faults.BlobRangeInvalid):
            response.headers["Content-Range"] = f"bytes */{fault.details['size']}"
        if fault.kind is Kind.UNAUTHENTICATED:
            response.headers["WWW-Authenticate"] = self._challenge(request, fault)
        return response

    def _challenge(self, request: web.Request, fault: Fault) -> str:
        path = request.rel_url.raw_path
        if self._realm is None or path == TOKEN_PATH:
            return f'Basic realm="{REALM}"'
        said = [f'realm="{self._realm}"', f'service="{SERVICE}"']
        if needed := needed_by(request):
            said.append(f'scope="{render_scopes(needed)}"')
        if "Authorization" in request.headers:
            what = "insufficient_scope" if isinstance(fault, faults.ScopeInsufficient) else "invalid_token"
            said.append(f'error="{what}"')
        return f"Bearer {','.join(said)}"


def _render(fault: Fault) -> web.Response:
    code = _BY_FAULT.get(type(fault)) or _BY_KIND.get(fault.kind, _OTHER)
    body = RegistryErrors(errors=[RegistryError(code=code, message=fault.message, detail=dict(fault.details))])
    return web.Response(status=fault.status, body=msgspec.json.encode(body), content_type="application/json")
