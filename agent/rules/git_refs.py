"""Which commit a name means in a repository."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Final

_LINE: Final = re.compile(r"(?P<id>[0-9a-f]{40}|[0-9a-f]{64})\t(?P<name>\S+)")
_FULL: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT: Final = re.compile(r"[0-9a-f]{4,63}")


@dataclasses.dataclass(frozen=True, slots=True)
class NamedRef:
    """A name that the repository's host has: HEAD, or one below `refs/`."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class CommitId:
    """A commit by its whole id."""

    id: str


@dataclasses.dataclass(frozen=True, slots=True)
class ShortId:
    """A commit by the beginning of its id."""

    prefix: str


Wanted = NamedRef | CommitId | ShortId


def parse_refs(output: bytes) -> dict[str, str]:
    """Ids by name, as `git ls-remote` prints them."""
    found: dict[str, str] = {}
    for line in output.decode(errors="surrogateescape").splitlines():
        if (parts := _LINE.fullmatch(line)) is not None:
            found[parts["name"]] = parts["id"]
    return found


def list_names(ref: str) -> tuple[str, ...]:
    """The names that a ref may have at the host, the one that goes first in front."""
    if ref == "HEAD" or ref.startswith("refs/"):
        return (ref,)
    return (f"refs/heads/{ref}", f"refs/tags/{ref}")


def choose_ref(ref: str, refs: Mapping[str, str]) -> Wanted | None:
    """What the ref means: a name goes before a commit, a branch before a tag; None when it means nothing."""
    for name in list_names(ref):
        if name in refs:
            return NamedRef(name)
    lowered = ref.lower()
    if _FULL.fullmatch(lowered):
        return CommitId(lowered)
    return ShortId(lowered) if _SHORT.fullmatch(lowered) else None
