"""Where images come from, as the database says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from controld.model.service import ExternalImageSource, GitSource, ServiceSource, UploadSource

_SOURCES: dict[str, type[ServiceSource]] = {
    "git": GitSource,
    "external_image": ExternalImageSource,
    "upload": UploadSource,
}
_NAMES = {kind: name for name, kind in _SOURCES.items()}


def render_source(source: ServiceSource) -> dict[str, Any]:
    """The source as plain data."""
    return {"type": _NAMES[type(source)], **msgspec.to_builtins(source)}


def read_source(data: Mapping[str, Any]) -> ServiceSource:
    """The source that plain data says."""
    return msgspec.convert(data, _SOURCES[data["type"]])
