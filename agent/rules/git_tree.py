"""What a commit would write: how much, how deep, and which commits of others it pins."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Final

_ENTRY: Final = re.compile(
    rb"(?P<mode>\d{6}) (?P<kind>[a-z]+) (?P<id>[0-9a-f]{40,64}) +(?P<size>\d+|-)\t(?P<path>.*)", re.DOTALL
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The sum of a commit's files; `deepest` counts the parts of the longest way to one."""

    entries: int
    size_bytes: int
    deepest: int
    links: Mapping[str, str]
    """Pinned commits by path."""


def parse_tree(listed: bytes) -> Tree:
    """The tree that `git ls-tree -r -l -z` prints."""
    entries = size_bytes = deepest = 0
    links: dict[str, str] = {}
    for line in listed.split(b"\0"):
        if (found := _ENTRY.fullmatch(line)) is None:
            continue
        entries += 1
        deepest = max(deepest, found["path"].count(b"/") + 1)
        if found["kind"] == b"commit":
            links[found["path"].decode(errors="surrogateescape")] = found["id"].decode()
        elif found["size"] != b"-":
            size_bytes += int(found["size"])
    return Tree(entries=entries, size_bytes=size_bytes, deepest=deepest, links=links)
