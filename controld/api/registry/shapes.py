"""What the registry reads from queries and headers, and the JSON and headers it answers with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

from controld.core.registry_access import RepositoryName
from controld.core.registry_tokens import IssuedRegistryToken
from controld.model.registry import OCI_INDEX, Manifest
from controld.rules.registry_scope import render_scopes
from kit.http.surface import Ask


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How a blob is to come in."""

    digest: str | None = None
    mount: str | None = None
    source: str | None = msgspec.field(name="from", default=None)


class FinishQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload is to be."""

    digest: str = ""


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for: at most `n`, behind `last`."""

    n: int | None = None
    last: str = ""


class ReferrersQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which referrers are asked for."""

    artifact_type: str | None = msgspec.field(name="artifactType", default=None)
    last: str = ""


class TokenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is to be used for."""

    scope: list[str] = msgspec.field(default_factory=list)


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, under both the names that clients look for."""

    token: str
    access_token: str
    expires_in: int
    issued_at: dt.datetime
    scope: str


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Names of repositories."""

    repositories: list[str]


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


def render_catalog_path(*, n: int | None, last: str) -> str:
    """Where the list of repositories goes on."""
    return f"/v2/_catalog?{urlencode({'last': last} if n is None else {'n': n, 'last': last})}"


def render_next(path: str) -> Mapping[str, str]:
    """The header that says where a list goes on."""
    return {"Link": f'<{path}>; rel="next"'}


def render_token(issued: IssuedRegistryToken) -> IssuedToken:
    """A fresh token."""
    return IssuedToken(
        token=issued.secret,
        access_token=issued.secret,
        expires_in=issued.seconds,
        issued_at=issued.issued_at,
        scope=render_scopes(issued.token.scopes),
    )


def render_descriptor(manifest: Manifest) -> Descriptor:
    """A manifest in a list of referrers."""
    return Descriptor(
        media_type=manifest.media_type,
        digest=manifest.digest,
        size=manifest.size_bytes,
        artifact_type=manifest.artifact_type,
        annotations=None if manifest.annotations is None else dict(manifest.annotations),
    )
