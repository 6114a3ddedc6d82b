"""Memory, its OOM kills and other plain counts from the kernel's words."""

from __future__ import annotations

import re
from typing import Final

_OOM_KILL: Final = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


def parse_count(data: bytes) -> int | None:
    """The one number of a file such as `memory.current`, `memory.usage_in_bytes` or `pids.current`."""
    text = data.strip()
    return int(text) if text.isdigit() else None


def parse_oom_kills(data: bytes) -> int | None:
    """Processes killed for want of memory, from v2's `memory.events` or v1's `memory.oom_control`.

    None where the kernel does not count them.
    """
    found = _OOM_KILL.search(data)
    return int(found[1]) if found else None


def parse_resident_pages(data: bytes) -> int | None:
    """Resident pages of a process, from `/proc/<pid>/statm`."""
    fields = data.split()
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else None
