"""Memory, its OOM kills and other plain counts from the kernel's words."""

from __future__ import annotations

import re
from typing import Final

_OOM_KILL: Final = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_KINDS: Final = re.compile(rb"^(anon|file|kernel|total_rss|total_cache|total_swap) (\d+)$", re.MULTILINE)
_NAMES: Final = {b"total_rss": "anon", b"total_cache": "file", b"total_swap": "swap"}
_NO_LIMIT: Final = 1 << 62
"""cgroup v1 tells about the largest number of bytes there is where nothing is limited."""


def parse_count(data: bytes) -> int | None:
    """The one number of a file such as `memory.current`, `memory.usage_in_bytes` or `pids.current`."""
    text = data.strip()
    return int(text) if text.isdigit() else None


def parse_limit(data: bytes) -> int | None:
    """Bytes of `memory.max` or `memory.limit_in_bytes`; None where there is no limit."""
    limit = parse_count(data)
    return None if limit is None or limit >= _NO_LIMIT else limit


def parse_memory_kinds(data: bytes) -> dict[str, int]:
    """Bytes by `anon`, `file`, `kernel` and `swap`, as far as `memory.stat` of v2 or v1 tells them."""
    return {_NAMES.get(name) or name.decode(): int(number) for name, number in _KINDS.findall(data)}


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
