"""Renders docs/settings.md from the settings that the daemons declare; `scripts/docs` writes it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

from kit.settings import Setting
from tests.house.tree import ROOT

_DAEMONS = ("controld", "agent")
_OPENING = """# Settings

Every setting of both daemons, rendered from `controld/settings.py` and `agent/settings.py` by `scripts/docs`. Each is a
key of the daemon's TOML file; the environment, where the key stands in upper case behind the daemon's prefix, wins over
the file. All are checked together at start, and every mistake is told at once.
"""


def render_page() -> str:
    """The whole page; a daemon without settings of its own has no part in it."""
    parts = [_OPENING]
    for daemon in _DAEMONS:
        if (ROOT / daemon / "settings.py").exists():
            module = importlib.import_module(f"{daemon}.settings")
            rows = "".join(_render_rows(module.SETTINGS))
            parts.append(f"## {daemon}\n\n| setting | type | default | meaning |\n|---|---|---|---|\n{rows}")
    return "\n".join(parts)


def _render_rows(settings: tuple[Setting, ...]) -> Iterator[str]:
    for setting in settings:
        unit = f" ({setting.unit})" if setting.unit else ""
        meaning = setting.meaning.replace("|", "\\|")
        yield f"| `{setting.name}` | {setting.type}{unit} | `{setting.default}` | {meaning} |\n"


if __name__ == "__main__":
    sys.stdout.write(render_page())
