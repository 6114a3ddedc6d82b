"""How repositories are called: the names of project and service, made fit for what image references may hold.

A name that the OCI specification allows stands as it is. Any other (`Web`, `my shop`) is written in lowercase with `-`
for what is not allowed, and ends in the last twelve digits of its id, so that two names never lead to one repository
and none changes its meaning later. A plain name that ends like such a one is treated the same.
"""

from __future__ import annotations

import re
from typing import Final

from controld.model.launch import Launch

_PART: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_NOT_ALLOWED: Final = re.compile(r"[^a-z0-9]+")
_ID_END: Final = re.compile(r"(?:^|-)(?P<end>[0-9a-f]{12})$")
_LONGEST: Final = 100
_ID_DIGITS: Final = 12


def make_part(name: str, *, id: str) -> str:
    """What stands in a repository's name for a project or service of this name and id."""
    if is_part(name) and len(name) <= _LONGEST and _ID_END.search(name) is None:
        return name
    plain = _NOT_ALLOWED.sub("-", name.lower())[: _LONGEST - _ID_DIGITS - 1].strip("-")
    end = id[-_ID_DIGITS:]
    return f"{plain}-{end}" if plain else end


def make_repository_name(project: str, service: str, *, project_id: str, service_id: str) -> str:
    """How the registry calls the repository of a service."""
    return f"{make_part(project, id=project_id)}/{make_part(service, id=service_id)}"


def repository_of(launch: Launch) -> str:
    """How the registry calls the repository of what is launched."""
    return make_repository_name(
        launch.project, launch.service, project_id=launch.project_id, service_id=launch.service_id
    )


def is_part(text: str) -> bool:
    """Whether the text can stand between the slashes of a repository's name."""
    return _PART.fullmatch(text) is not None


def find_id_end(part: str) -> str | None:
    """The last digits of the id of what is called so, when its name could not stand as it is."""
    found = _ID_END.search(part)
    return None if found is None else found["end"]
