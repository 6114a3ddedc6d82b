"""Renders docs/roles.md from the route tables and the table of permissions; `scripts/docs` writes it."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable
from typing import Any, Final
from unittest.mock import MagicMock

from controld.api.exposition.surface import make_surface as make_exposition
from controld.api.registry.surface import make_surface as make_registry
from controld.api.v1.surface import Operations, make_surface
from controld.model.role import Role
from controld.rules.access import LEAST
from kit.http.surface import Route, Surface
from tests.house.tree import ROOT

PAGE: Final = ROOT / "docs" / "roles.md"
_OPENING: Final = """# Roles

Who may call what, rendered from the route tables and from `controld/rules/access.py` by `scripts/docs`. `tests/roles/`
asks every route below as every kind of caller and compares what happens with this page.

A project's members have a role in it: `viewer`, `operator` or `admin`, each with all that the ones before it may. A
super-admin is above projects. An API token may be limited to one project, or by a role ceiling, or both; a limited
token is never a super-admin, and cannot touch its user's credentials.

| least role | who may call | who else is told |
|---|---|---|
| public | anybody, without a credential | |
| any | every valid credential | 401 |
| person | a user by session, or by a token without limits | 401; 403 for limited tokens; 403 or 409 for the setup \
secret |
| viewer, operator, admin | members of the project that the path or body names, from this role on | 401; 403 for lower \
roles; 404 for those who have no role there, as if it did not exist |
| member of a project | who has a role in some project | 401, 403 |
| operator of a project | who is at least operator in some project | 401, 403 |
| admin of a project | who is admin in some project | 401, 403 |
| super-admin | super-admins, and the holder of the setup secret | 401, 403 |

`/metrics` is also read with the metrics token, which opens nothing else.

No credential, and one that is garbage, has expired or was revoked, are told 401 alike, with an empty body on `/v1`.
"""
_ROW: Final = re.compile(r"\| (?P<method>[A-Z]+) \| `(?P<path>[^`]+)` \| (?P<access>[a-z -]+) \|")


def render_page() -> str:
    """The whole page."""
    parts = [_OPENING]
    for title, surface in (("/v1", _make_v1()), ("/v2", _make_v2()), ("/metrics", _make_exposition())):
        rows = "".join(_render_routes(surface.routes))
        parts.append(f"## {title}\n\n| method | path | least role | does |\n|---|---|---|---|\n{rows}")
    rows = "".join(f"| `{name}` | {_name(least)} |\n" for name, least in LEAST.items())
    parts.append(
        f"## Permissions\n\nWhat the core asks for, whichever API the ask came by.\n\n"
        f"| permission | least role |\n|---|---|\n{rows}"
    )
    return "\n".join(parts)


def read_table(title: str) -> dict[str, str]:
    """The least role by method and path, as the page has it under this heading."""
    section = PAGE.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return {f"{row['method']} {row['path']}": row["access"] for row in _ROW.finditer(section)}


def _render_routes(routes: Iterable[Route]) -> Iterable[str]:
    for route in routes:
        also = f" (also {', '.join(f'`{path}`' for path in route.aliases)})" if route.aliases else ""
        yield f"| {route.method} | `{route.path}` | {route.access} | {route.summary}{also} |\n"


def _name(least: Role | str) -> str:
    return least.value if isinstance(least, Role) else least.replace("_", " ")


def _make_v1() -> Surface:
    anything: Any = MagicMock()
    operations = Operations(**{field.name: anything for field in dataclasses.fields(Operations)})
    return make_surface(operations, auth=anything, throttle=None, watch_callers=anything, note_forbidden=anything)


def _make_exposition() -> Surface:
    anything: Any = MagicMock()
    return make_exposition(anything, auth=anything, note_forbidden=anything)


def _make_v2() -> Surface:
    anything: Any = MagicMock()
    return make_registry(anything, anything, authenticate=anything, max_manifest_bytes=1, tokens=anything)


if __name__ == "__main__":
    sys.stdout.write(render_page())
