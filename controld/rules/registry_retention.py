"""Which manifests of a repository have outlived their use."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Final

from controld.model.registry import HeldManifest

_OF_A_BUILD: Final = re.compile(r"deployment-[0-9]+")


def is_tag_of_a_build(tag: str) -> bool:
    """Whether a tag is one that builds leave beside the digest they are known by; such a tag keeps nothing for good."""
    return _OF_A_BUILD.fullmatch(tag) is not None


def find_stale(held: Iterable[HeldManifest], *, before: dt.datetime) -> frozenset[str]:
    """Digests of the manifests that may go.

    A manifest stays while it is needed (by a tag, by a kept artifact, by what runs) or was touched since that moment;
    while an index that stays lists it; and while it refers to one that stays, as a signature does.
    """
    manifests = {each.digest: each for each in held}
    referrers: dict[str, list[str]] = {}
    for each in manifests.values():
        if each.subject is not None:
            referrers.setdefault(each.subject, []).append(each.digest)
    kept: set[str] = set()
    waiting = [each.digest for each in manifests.values() if each.is_needed or each.touched_at >= before]
    while waiting:
        digest = waiting.pop()
        if digest not in kept and digest in manifests:
            kept.add(digest)
            waiting += [*manifests[digest].children, *referrers.get(digest, ())]
    return frozenset(manifests) - kept
