"""The rows of the goals that are measured, by number."""

from __future__ import annotations

from typing import Final

from benchmarks.harness import Row
from benchmarks.rows import (
    row_1a,
    row_1b,
    row_2a,
    row_2b,
    row_2c,
    row_3a,
    row_3b,
    row_4a,
    row_4b,
    row_4c,
    row_4d,
    row_4e,
    row_5a,
    row_5b,
    row_5c,
    row_6a,
    row_6b,
    row_7a,
    row_7b,
    row_8a,
    row_9a,
    row_9b,
    row_9c,
)

_MODULES: Final = (
    row_1a,
    row_1b,
    row_2a,
    row_2b,
    row_2c,
    row_3a,
    row_3b,
    row_4a,
    row_4b,
    row_4c,
    row_4d,
    row_4e,
    row_5a,
    row_5b,
    row_5c,
    row_6a,
    row_6b,
    row_7a,
    row_7b,
    row_8a,
    row_9a,
    row_9b,
    row_9c,
)
ROWS: Final[dict[str, Row]] = {row.ROW.id: row.ROW for row in _MODULES}
