"""How the registry's words are read: names, digests, ranges of chunks and manifests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from controld.model.registry import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    ManifestFacts,
)

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_CONTENT_RANGE: Final = re.compile(r"(?:bytes )?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?")
_IMAGES: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
_ELSEWHERE: Final = re.compile(r"\.foreign\.|\.nondistributable\.")


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str


class _Image(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    config: _Descriptor
    layers: list[_Descriptor]
    media_type: str | None = None
    artifact_type: str | None = None
    subject: _Descriptor | None = None
    annotations: dict[str, str] | None = None


class _Index(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    manifests: list[_Descriptor]
    media_type: str | None = None
    artifact_type: str | None = None
    subject: _Descriptor | None = None
    annotations: dict[str, str] | None = None


def is_digest(text: str) -> bool:
    """Whether the text is a digest of an algorithm that we compute: sha256 or sha512."""
    return _DIGEST.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether the text can name a manifest."""
    return _TAG.fullmatch(text) is not None


def compute_digest(data: bytes, *, like: str = "sha256:") -> str:
    """The digest of the bytes, by the algorithm of another digest."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def parse_content_range(text: str) -> tuple[int, int] | None:
    """First and last byte of a chunk (`0-1023`, or as in HTTP), or None when it cannot be read."""
    found = _CONTENT_RANGE.fullmatch(text.strip())
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    return (first, last) if first <= last else None


def parse_manifest(data: bytes, *, media_type: str) -> ManifestFacts:
    """What an image manifest or an index says; raises ValueError with what is wrong with it."""
    if media_type in _IMAGES:
        return _read_image(_decode(data, _Image), media_type)
    if media_type in _INDEXES:
        return _read_index(_decode(data, _Index), media_type)
    raise ValueError(f"its media type {media_type!r} is neither an image manifest nor an index")


def _decode(data: bytes, shape: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _read_image(image: _Image, media_type: str) -> ManifestFacts:
    _check_version(image, media_type)
    here = [each for each in (image.config, *image.layers) if not _ELSEWHERE.search(each.media_type)]
    _check_descriptors((image.config, *image.layers))
    return ManifestFacts(
        blobs=frozenset(each.digest for each in here),
        manifests=frozenset(),
        subject=_read_subject(image),
        artifact_type=image.artifact_type or image.config.media_type,
        annotations=image.annotations,
    )


def _read_index(index: _Index, media_type: str) -> ManifestFacts:
    _check_version(index, media_type)
    _check_descriptors(index.manifests)
    known = _IMAGES | _INDEXES
    return ManifestFacts(
        blobs=frozenset(each.digest for each in index.manifests if each.media_type not in known),
        manifests=frozenset(each.digest for each in index.manifests if each.media_type in known),
        subject=_read_subject(index),
        artifact_type=index.artifact_type,
        annotations=index.annotations,
    )


def _check_version(manifest: _Image | _Index, media_type: str) -> None:
    if manifest.schema_version != 2:
        raise ValueError(f"its schemaVersion is {manifest.schema_version}, and 2 is what is taken")
    if manifest.media_type is not None and manifest.media_type != media_type:
        raise ValueError(f"it says that it is {manifest.media_type!r}, and its Content-Type is {media_type!r}")


def _check_descriptors(descriptors: Iterable[_Descriptor]) -> None:
    for each in descriptors:
        if not is_digest(each.digest):
            raise ValueError(f"the digest {each.digest[:150]!r} cannot be read")
        if each.size < 0:
            raise ValueError(f"the size of {each.digest} is below 0")


def _read_subject(manifest: _Image | _Index) -> str | None:
    if manifest.subject is None:
        return None
    _check_descriptors([manifest.subject])
    return manifest.subject.digest
