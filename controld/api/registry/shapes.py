"""What the registry reads from queries and headers, and the JSON and headers it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from controld.core.registry_access import RepositoryName
from controld.model.registry import OCI_INDEX, Content, Manifest
from kit.http.surface import Ask


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How a blob is to come in."""

    digest: str | None = None
    mount: str | None = None
    source: str | None = msgspec.field(name="from", default=None)


class FinishQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload is to be."""

    digest: str = ""


class TagsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the tags is asked for."""

    n: int | None = None
    last: str = ""


class ReferrersQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which referrers are asked for."""

    artifact_type: str | None = msgspec.field(name="artifactType", default=None)
    last: str = ""


class TagList(msgspec.Struct, frozen=True, kw_only=True):
    """Tags of a repository."""

    name: str
    tags: list[str]


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A manifest as an index names it."""

    media_type: str
    digest: str
    size: int
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An image index."""

    schema_version: int = 2
    media_type: str = OCI_INDEX
    manifests: list[Descriptor]


def read_name(ask: Ask) -> RepositoryName:
    """The repository that the path names."""
    return RepositoryName(ask.path["project"], ask.path["service"])


def read_source(text: str) -> RepositoryName:
    """The repository that `from` names; one that cannot be is empty, and is never found."""
    project, _, service = text.partition("/")
    return RepositoryName(project, service)


def render_path(name: RepositoryName, kind: str, leaf: str, **query: str | int | None) -> str:
    """A path below the repository, as Location and Link say it."""
    said = urlencode({key: value for key, value in query.items() if value not in {None, ""}})
    path = f"/v2/{quote(name.project, safe='')}/{quote(name.service, safe='')}/{kind}/{quote(leaf, safe=':')}"
    return f"{path}?{said}" if said else path


def render_next(path: str) -> Mapping[str, str]:
    """The header that says where a list goes on."""
    return {"Link": f'<{path}>; rel="next"'}


def render_file(content: Content) -> web.FileResponse:
    """The bytes of a blob or manifest, or the part that Range asks for, sent from their file."""
    headers = {"Content-Type": content.media_type, "Docker-Content-Digest": content.digest}
    return web.FileResponse(content.path, headers=headers)


def render_descriptor(manifest: Manifest) -> Descriptor:
    """A manifest in a list of referrers."""
    return Descriptor(
        media_type=manifest.media_type,
        digest=manifest.digest,
        size=manifest.size_bytes,
        artifact_type=manifest.artifact_type,
        annotations=None if manifest.annotations is None else dict(manifest.annotations),
    )
