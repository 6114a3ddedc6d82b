"""How the lines of the log of a job's run begin."""

from __future__ import annotations

from typing import Final

STDOUT: Final = "STDOUT"
STDERR: Final = "STDERR"
NOTE: Final = "NOTE"
"""What is said of the output itself."""
END: Final = "END"
"""How an attempt ended."""
OUTPUT: Final = frozenset({STDOUT, STDERR})
