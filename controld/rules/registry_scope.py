"""Scopes of registry tokens: what a token was asked for, what a request needs, and whether one covers the other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from controld.model.registry import Scope

PULL: Final = "pull"
PUSH: Final = "push"
_ALL: Final = "*"
_REPOSITORY: Final = "repository"
_CATALOG: Final = Scope(kind="registry", name="catalog", actions=frozenset({_ALL}))
_CATALOG_PATH: Final = "/v2/_catalog"
_PATH: Final = re.compile(r"/v2/([^/]+/[^/]+)/(blobs/uploads|blobs|manifests|tags|referrers)(?:/.*)?")
_UPLOADS: Final = "blobs/uploads"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_READS: Final = frozenset({"GET", "HEAD"})
_MOST: Final = 32


def parse_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes that the texts name, several in each perhaps; what cannot be read grants nothing and is left out."""
    found = []
    for text in (each for whole in texts for each in whole.split()):
        kind, colon, rest = text.partition(":")
        name, behind, actions = rest.rpartition(":")
        if colon and behind and name:
            wanted = frozenset(each for each in actions.split(",") if each)
            found.append(Scope(kind=kind.partition("(")[0], name=name, actions=wanted))
    return tuple(found[:_MOST])


def needed_scopes(method: str, path: str, *, source: str | None = None) -> tuple[Scope, ...]:
    """What a request of this method to this raw path needs; nothing when any token will do.

    `source` is the repository that a blob is to be mounted from. Names that no repository can have need nothing.
    """
    if path == _CATALOG_PATH:
        return (_CATALOG,)
    found = _PATH.fullmatch(path)
    name = "" if found is None else unquote(found[1])
    if found is None or _NAME.fullmatch(name) is None:
        return ()
    reads = method in _READS and found[2] != _UPLOADS
    needed = [Scope(kind=_REPOSITORY, name=name, actions=frozenset({PULL} if reads else {PULL, PUSH}))]
    if source is not None and found[2] == _UPLOADS and source != name and _NAME.fullmatch(source):
        needed.append(Scope(kind=_REPOSITORY, name=source, actions=frozenset({PULL})))
    return tuple(needed)


def covers(scopes: Iterable[Scope], needed: Iterable[Scope]) -> bool:
    """Whether the scopes together grant all that is needed."""
    granted = tuple(scopes)
    return all(_grants(granted, each) for each in needed)


def repositories_to_pull(scopes: Iterable[Scope]) -> frozenset[str]:
    """Names of the repositories that the scopes let somebody pull from."""
    return frozenset(
        each.name for each in scopes if each.kind == _REPOSITORY and not each.actions.isdisjoint({PULL, _ALL})
    )


def render_scopes(scopes: Iterable[Scope]) -> str:
    """The scopes as a challenge names them."""
    return " ".join(f"{each.kind}:{each.name}:{','.join(sorted(each.actions))}" for each in scopes)


def _grants(scopes: Iterable[Scope], needed: Scope) -> bool:
    granted = frozenset[str]().union(
        *(each.actions for each in scopes if (each.kind, each.name) == (needed.kind, needed.name))
    )
    return _ALL in granted or needed.actions <= granted
