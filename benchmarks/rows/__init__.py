"""The rows of the goals that are measured, by number: the `ROW` of every module here."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from benchmarks.harness import Row

_MODULES: Final = sorted(found.name for found in pkgutil.iter_modules(__path__, f"{__name__}."))
ROWS: Final[dict[str, Row]] = {row.id: row for row in (importlib.import_module(name).ROW for name in _MODULES)}
