"""An image registry for tests: projects and services, callers with each role, and the real parts over a database."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientResponse, ClientSession, web
from sqlalchemy import insert

from controld.api.registry.auth import TokenAuth
from controld.api.registry.surface import make_surface
from controld.core.audit import Audit
from controld.core.identities import hash_token
from controld.core.registry import Registry
from controld.core.registry_access import RegistryAccess, RepositoryName
from controld.core.registry_tokens import RegistryTokens
from controld.core.registry_trail import RegistryTrail
from controld.core.registry_upkeep import RegistryUpkeep
from controld.core.registry_uploads import RegistryUploads
from controld.model.caller import Caller, CallerKind, TokenKind
from controld.model.registry import OCI_INDEX, OCI_MANIFEST
from controld.model.role import Role
from controld.store.audit import AuditStore
from controld.store.blob_files import BlobFiles
from controld.store.engine import Database
from controld.store.registry import RegistryStore
from controld.store.registry_tokens import RegistryTokenStore
from controld.store.tables import projects, services
from kit.clock import Clock, SystemClock
from kit.http.surface import Surface
from kit.ids import SystemIds

MAX_BLOB_BYTES = 512 * 1024 * 1024
MAX_MANIFEST_BYTES = 256 * 1024
GRACE_SECONDS = 3600.0
UNNEEDED_SECONDS = 604_800.0
EXPIRY_SECONDS = 86_400.0
TOKEN_SECONDS = 300

WEB = RepositoryName("shop", "web")
API = RepositoryName("shop", "api")
OTHER = RepositoryName("mill", "web")
PROJECT_IDS = {"shop": "0193a000-0000-7000-8000-000000000001", "mill": "0193a000-0000-7000-8000-000000000002"}
SERVICE_IDS = {
    WEB: "0193a000-0000-7000-8000-000000000011",
    API: "0193a000-0000-7000-8000-000000000012",
    OTHER: "0193a000-0000-7000-8000-000000000013",
}
NODE_ID = "0193a000-0000-7000-8000-0000000000aa"
_SHOP = PROJECT_IDS["shop"]


def _person(**more: object) -> Caller:
    return dataclasses.replace(
        Caller(kind=CallerKind.USER, token_kind=TokenKind.API_TOKEN, user_id="u-1", username="ann"),
        **more,  # type: ignore[arg-type]
    )


CALLERS: Mapping[str, Caller] = {
    "viewer": _person(memberships={_SHOP: Role.VIEWER}),
    "operator": _person(memberships={_SHOP: Role.OPERATOR}),
    "admin": _person(is_super_admin=True),
    "stranger": _person(),
    "both": _person(memberships={_SHOP: Role.OPERATOR, PROJECT_IDS["mill"]: Role.VIEWER}),
}
NODE = Caller(kind=CallerKind.NODE, token_kind=TokenKind.CERTIFICATE, node_id=NODE_ID)


@dataclasses.dataclass(kw_only=True)
class World:
    """The parts of a registry, over one database and one folder."""

    database: Database
    files: BlobFiles
    registry: Registry
    uploads: RegistryUploads
    upkeep: RegistryUpkeep
    tokens: RegistryTokens
    folder: Path

    def surface(self, *, realm: str | None = None) -> Surface:
        """The surface for the callers above, each by its name as token."""
        return make_surface(
            self.registry,
            self.uploads,
            authenticate=TokenAuth(_recognise, self.tokens.recognise).authenticate,
            max_manifest_bytes=MAX_MANIFEST_BYTES,
            tokens=self.tokens,
            realm=realm,
        )

    def node_surface(self) -> Surface:
        """The surface as one node meets it."""

        async def authenticate(_: web.Request) -> Caller:
            return NODE

        return make_surface(
            self.registry, self.uploads, authenticate=authenticate, max_manifest_bytes=MAX_MANIFEST_BYTES
        )

    def stored(self) -> set[str]:
        """Digests of the blobs in the folder."""
        return {f"{path.parts[-3]}:{path.name}" for path in self.folder.glob("sha*/*/*")}

    def parts(self) -> list[Path]:
        """Files of uploads under way."""
        return sorted((self.folder / "uploads").iterdir())


@asynccontextmanager
async def open_world(
    database: Database, folder: Path, *, clock: Clock | None = None, max_project_bytes: int = 0
) -> AsyncIterator[World]:
    """A registry over the database, which has the projects and services above."""
    clock = clock or SystemClock()
    files, store, ids = BlobFiles(folder), RegistryStore(), SystemIds()
    access, audit = RegistryAccess(store), Audit(AuditStore(), clock=clock, ids=ids)
    await files.open()
    yield World(
        database=database,
        files=files,
        registry=Registry(
            database,
            store,
            access=access,
            files=files,
            trail=RegistryTrail(audit),
            clock=clock,
            ids=ids,
            grace_seconds=GRACE_SECONDS,
            unneeded_seconds=UNNEEDED_SECONDS,
        ),
        uploads=RegistryUploads(
            database,
            store,
            access=access,
            files=files,
            trail=RegistryTrail(audit),
            clock=clock,
            ids=ids,
            max_blob_bytes=MAX_BLOB_BYTES,
            max_project_bytes=max_project_bytes,
        ),
        upkeep=RegistryUpkeep(
            database,
            store,
            files=files,
            audit=audit,
            clock=clock,
            grace_seconds=GRACE_SECONDS,
            unneeded_seconds=UNNEEDED_SECONDS,
            expiry_seconds=EXPIRY_SECONDS,
        ),
        tokens=RegistryTokens(
            database,
            RegistryTokenStore(),
            recognise=_recognise_hashed,
            clock=clock,
            ids=ids,
            seconds=TOKEN_SECONDS,
        ),
        folder=folder,
    )
    await files.close()


async def add_services(database: Database) -> None:
    """The projects and services above."""
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    async with database.write() as tx:
        for name, project_id in PROJECT_IDS.items():
            await tx.execute(insert(projects).values(id=project_id, name=name, shared_env=[], created_at=at))
        for repository, service_id in SERVICE_IDS.items():
            await tx.execute(
                insert(services).values(
                    id=service_id,
                    project_id=PROJECT_IDS[repository.project],
                    name=repository.service,
                    source={"type": "upload"},
                    internal_port=80,
                    health_path="/",
                    health_timeout_seconds=5,
                    env=[],
                    domains=[],
                    tls_enabled=False,
                    endpoints=[],
                    created_at=at,
                    updated_at=at,
                )
            )


def sha256(data: bytes) -> str:
    """The digest of the bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def bearer(caller: str) -> dict[str, str]:
    """The header of one of the callers."""
    return {"Authorization": f"Bearer {caller}"}


async def push_blob(http: ClientSession, data: bytes, *, name: RepositoryName = WEB, caller: str = "operator") -> str:
    """Push a blob in one request; its digest."""
    digest = sha256(data)
    url = f"/v2/{name}/blobs/uploads/?digest={digest}"
    async with http.post(url, data=data, headers=bearer(caller)) as answer:
        assert answer.status == 201, await answer.text()
    return digest


def make_manifest(config: bytes, *layers: bytes, **more: object) -> bytes:
    """An OCI image manifest over these blobs."""
    kind = "application/vnd.oci.image.layer.v1.tar"
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(layer, kind) for layer in layers],
            **more,
        }
    ).encode()


def make_index(*manifests: bytes) -> bytes:
    """An OCI index over these image manifests."""
    listed = [descriptor(each, OCI_MANIFEST) for each in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()


def named_in(manifest: bytes) -> list[str]:
    """Digests of the blobs of an image manifest, or of the manifests of an index."""
    told = json.loads(manifest)
    named = told["manifests"] if "manifests" in told else [told["config"], *told["layers"]]
    return [each["digest"] for each in named]


def descriptor(data: bytes, media_type: str) -> dict[str, object]:
    """How a manifest names these bytes."""
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


async def push_image(
    http: ClientSession, reference: str, *blobs: bytes, name: RepositoryName = WEB, caller: str = "operator"
) -> bytes:
    """Push an image whose first blob is its configuration; its manifest."""
    for blob in blobs:
        await push_blob(http, blob, name=name, caller=caller)
    data = make_manifest(*blobs)
    async with put_manifest(http, reference, data, name=name, caller=caller) as answer:
        assert answer.status == 201, await answer.text()
    return data


@asynccontextmanager
async def put_manifest(
    http: ClientSession,
    reference: str,
    data: bytes,
    *,
    name: RepositoryName = WEB,
    caller: str = "operator",
    media_type: str = OCI_MANIFEST,
) -> AsyncIterator[ClientResponse]:
    """The answer to pushing a manifest."""
    headers = {**bearer(caller), "Content-Type": media_type}
    async with http.put(f"/v2/{name}/manifests/{reference}", data=data, headers=headers) as answer:
        yield answer


async def _recognise_hashed(token_sha256: str, *, address: str) -> Caller | None:
    return await _recognise(next((each for each in CALLERS if hash_token(each) == token_sha256), ""), address=address)


async def _recognise(token: str, *, address: str) -> Caller | None:
    caller = CALLERS.get(token)
    return None if caller is None else dataclasses.replace(caller, address=address)
