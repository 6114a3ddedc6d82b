"""Submodules of a commit, from what git says of its `.gitmodules`."""

from __future__ import annotations

import dataclasses
import re
from pathlib import PurePosixPath
from typing import Final

_KEY: Final = re.compile(r"submodule\.(?P<name>.+)\.(?P<field>path|url|update)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Submodule:
    """A repository inside another, by its path there and its address, which may be relative."""

    path: str
    url: str


def parse_submodules(listed: bytes) -> tuple[Submodule, ...]:
    """The submodules that `git config -z --list` prints; those without a plain path or an address are left out, and
    those that say `update = none`.
    """
    fields: dict[str, dict[str, str]] = {}
    for entry in listed.decode(errors="surrogateescape").split("\0"):
        key, _, value = entry.partition("\n")
        if (found := _KEY.fullmatch(key)) is not None:
            fields.setdefault(found["name"], {})[found["field"]] = value
    return tuple(
        Submodule(each["path"], each["url"])
        for each in fields.values()
        if _is_plain(each.get("path", "")) and each.get("url") and each.get("update") != "none"
    )


def _is_plain(text: str) -> bool:
    path = PurePosixPath(text)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and ".git" not in path.parts
