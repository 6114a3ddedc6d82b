"""Which processes of a container belong to one console, from what procfs says of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as procfs tells it; `started` is in ticks since boot and tells apart who has had the same pid."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    is_marked: bool = False
    """Its environment names the console."""


def parse_stat(text: str) -> Process | None:
    """A process from `/proc/<pid>/stat`; None for a zombie, which its parent has to end, and for other text.

    The name in brackets may hold anything, so that fields count from the last bracket.
    """
    head, bracket, rest = text.rpartition(")")
    fields = rest.split()
    try:
        if not bracket or fields[0] in {"Z", "X"}:
            return None
        return Process(
            pid=int(head.partition(" ")[0]),
            parent=int(fields[1]),
            group=int(fields[2]),
            session=int(fields[3]),
            started=int(fields[19]),
        )
    except (ValueError, IndexError):
        return None


def pick_members(processes: Iterable[Process], *, shell: tuple[int, int] | None) -> list[Process]:
    """Those that the console started, out of all that its container runs; `shell` is its first pid and when that began.

    A mark in the environment is inherited by whatever is started, however far it went: into a session of its own, or
    to another parent. Where it was wiped off, the shell's session and group tell, and then descent from any of these.
    """
    table = {process.pid: process for process in processes}
    leader = None
    if shell is not None:
        present = table.get(shell[0])
        leader = shell[0] if present is None or present.started == shell[1] else None
    members = {
        process.pid
        for process in table.values()
        if process.is_marked or (leader is not None and leader in {process.pid, process.session, process.group})
    }
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    waiting = list(members)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in members:
                members.add(child)
                waiting.append(child)
    return [table[pid] for pid in sorted(members)]
