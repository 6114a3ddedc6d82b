"""How each route of `/v2` is asked in the matrix of roles, over a registry with an image in each of two projects."""

from __future__ import annotations

import base64
import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import ClientSession

from controld.api.registry.auth import TokenAuth
from controld.api.registry.surface import make_surface
from controld.core.audit import Audit
from controld.core.registry_access import RegistryAccess
from controld.core.registry_tokens import RegistryTokens
from controld.core.registry_trail import RegistryTrail
from controld.core.registry_uploads import RegistryUploads
from controld.model.registry import OCI_MANIFEST
from controld.store.registry import RegistryStore
from controld.store.registry_tokens import RegistryTokenStore
from kit.http.surface import Surface
from kit.ids import SystemIds
from tests.controld.app import SETUP_SECRET, App, bearer
from tests.registry import make_manifest, sha256
from tests.roles.callers import ADMITTED, FORBIDDEN, HIDDEN, UNKNOWN
from tests.serving import serve

SETUP: Final = bearer(SETUP_SECRET)
MANIFEST: Final = make_manifest(b"config")

_MET: Final[Mapping[tuple[int, bytes], str]] = {
    (401, b"UNAUTHORIZED"): UNKNOWN,
    (403, b"DENIED"): FORBIDDEN,
    (404, b"NAME_UNKNOWN"): HIDDEN,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """A served `/v2`, and the surface behind it."""

    http: ClientSession
    surface: Surface
    numbers: itertools.count[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    async def push_blob(self, repository: str, data: bytes) -> str:
        """The digest of a blob that the holder of the setup secret pushed."""
        digest = sha256(data)
        url = f"/v2/{repository}/blobs/uploads/?digest={digest}"
        async with self.http.post(url, data=data, headers=SETUP) as answer:
            assert answer.status == 201, await answer.text()
        return digest

    async def push_image(self, repository: str, tag: str) -> None:
        """An image of one configuration."""
        await self.push_blob(repository, b"config")
        headers = {**SETUP, "Content-Type": OCI_MANIFEST}
        async with self.http.put(f"/v2/{repository}/manifests/{tag}", data=MANIFEST, headers=headers) as answer:
            assert answer.status == 201, await answer.text()

    async def start_upload(self, repository: str) -> str:
        """The id of a new upload."""
        async with self.http.post(f"/v2/{repository}/blobs/uploads/", headers=SETUP) as answer:
            return answer.headers["Docker-Upload-UUID"]

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], *, data: bytes | None = None
    ) -> tuple[str, int, bytes]:
        """What a caller learns, with the status and the body behind it."""
        async with self.http.request(method, path, data=data, headers=headers) as answer:
            told = await answer.read()
        for (status, code), met in _MET.items():
            if answer.status == status and (code in told or method == "HEAD"):
                return met, status, told
        return (ADMITTED if answer.status < 400 else "something else"), answer.status, told


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """How one route is asked: its path with `{repository}`, where `fresh` makes what `{made}` names."""

    path: str
    data: bytes | None = None
    media_type: str = "application/octet-stream"
    fresh: Callable[[Images, str], Awaitable[str]] | None = None
    made: str = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"
    """Stands where nothing is made."""
    statuses: tuple[int, ...] = ()
    """What whoever is admitted may get beside the route's own."""


async def _tag(images: Images, repository: str) -> str:
    tag = f"made-{next(images.numbers)}"
    await images.push_image(repository, tag)
    return tag


async def _blob(images: Images, repository: str) -> str:
    return await images.push_blob(repository, f"made {next(images.numbers)}".encode())


async def _upload(images: Images, repository: str) -> str:
    return await images.start_upload(repository)


_UPLOAD: Final = "/v2/{repository}/blobs/uploads/{made}"
_CONFIG: Final = sha256(b"config")

PROBES: Final[dict[str, Probe]] = {
    "GET /v2/": Probe(path="/v2/"),
    "GET /v2/_catalog": Probe(path="/v2/_catalog"),
    "GET /v2/token": Probe(path="/v2/token"),
    "POST /v2/token": Probe(path="/v2/token", data=b"", statuses=(400,)),
    "GET /v2/{project}/{service}/tags/list": Probe(path="/v2/{repository}/tags/list"),
    "GET /v2/{project}/{service}/manifests/{reference}": Probe(path="/v2/{repository}/manifests/v1"),
    "PUT /v2/{project}/{service}/manifests/{reference}": Probe(
        path="/v2/{repository}/manifests/v2", data=MANIFEST, media_type=OCI_MANIFEST
    ),
    "DELETE /v2/{project}/{service}/manifests/{reference}": Probe(path="/v2/{repository}/manifests/{made}", fresh=_tag),
    "GET /v2/{project}/{service}/referrers/{digest}": Probe(path=f"/v2/{{repository}}/referrers/{_CONFIG}"),
    "GET /v2/{project}/{service}/blobs/{digest}": Probe(path=f"/v2/{{repository}}/blobs/{_CONFIG}"),
    "DELETE /v2/{project}/{service}/blobs/{digest}": Probe(
        path="/v2/{repository}/blobs/{made}", fresh=_blob, made=_CONFIG
    ),
    "POST /v2/{project}/{service}/blobs/uploads/": Probe(path="/v2/{repository}/blobs/uploads/"),
    "GET /v2/{project}/{service}/blobs/uploads/{upload_id}": Probe(path=_UPLOAD, fresh=_upload),
    "PATCH /v2/{project}/{service}/blobs/uploads/{upload_id}": Probe(path=_UPLOAD, fresh=_upload, data=b"x"),
    "PUT /v2/{project}/{service}/blobs/uploads/{upload_id}": Probe(
        path=f"{_UPLOAD}?digest={sha256(b'x')}", fresh=_upload, data=b"x"
    ),
    "DELETE /v2/{project}/{service}/blobs/uploads/{upload_id}": Probe(path=_UPLOAD, fresh=_upload),
}
"""By method and path; a route that has no line here fails the test of the matrix."""


@asynccontextmanager
async def serve_images(app: App) -> AsyncIterator[Images]:
    """The registry of the app, as the daemon serves it to people."""
    store, ids = RegistryStore(), SystemIds()
    await app.blob_files.open()
    tokens = RegistryTokens(
        app.database,
        RegistryTokenStore(),
        recognise=app.identities.recognise_hashed,
        clock=app.clock,
        ids=ids,
        seconds=300,
    )
    uploads = RegistryUploads(
        app.database,
        store,
        access=RegistryAccess(store),
        files=app.blob_files,
        trail=RegistryTrail(Audit(app.audit_store, clock=app.clock, ids=ids)),
        clock=app.clock,
        ids=ids,
        max_blob_bytes=2**20,
        max_project_bytes=0,
    )
    surface = make_surface(
        app.registry,
        uploads,
        authenticate=TokenAuth(app.identities.recognise, tokens.recognise).authenticate,
        max_manifest_bytes=2**20,
        tokens=tokens,
    )
    async with serve(surface) as http:
        yield Images(http=http, surface=surface)
    await app.blob_files.close()


def basic(token: str) -> dict[str, str]:
    """The header by which `docker login` presents a token."""
    return {"Authorization": "Basic " + base64.b64encode(f"anyone:{token}".encode()).decode()}
