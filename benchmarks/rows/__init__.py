"""The rows of the goals that are measured, by number."""

from __future__ import annotations

from typing import Final

from benchmarks.harness import Row
from benchmarks.rows import row_1b, row_2a, row_5a, row_5b, row_6a, row_6b, row_8a, row_9a

ROWS: Final[dict[str, Row]] = {
    row.ROW.id: row.ROW for row in (row_1b, row_2a, row_5a, row_5b, row_6a, row_6b, row_8a, row_9a)
}
