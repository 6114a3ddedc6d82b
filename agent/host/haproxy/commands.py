"""The runtime socket's language: commands as lines, and what its answers mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import assert_never

from agent.host.haproxy.config import SERVER_OPTIONS, HaproxyPaths
from agent.model.ingress import (
    AddHost,
    AddServer,
    Backend,
    Command,
    DeleteServer,
    DropHost,
    FreeBackend,
    IngressObserved,
    MoveHost,
    MoveServer,
    NameBackend,
    Process,
    ServerObserved,
    ServerState,
    SetServer,
)

SHOW_SESSIONS = "show stat -1 4 -1"
"""All servers, and nothing but servers, with their open sessions."""

_POOL_NAME = re.compile(r"p\d{4,}")
_ADMIN_MAINT = 0x01 | 0x02 | 0x20 | 0x40
_ADMIN_DRAIN = 0x08 | 0x10


def show_commands(paths: HaproxyPaths) -> tuple[str, ...]:
    """The questions whose answers `parse_observed` takes, in its order; sessions cost more than all, and are apart."""
    return (
        "show info",
        "show backend",
        f"show map {paths.keys}",
        f"show map {paths.hosts}",
        "show servers state",
    )


def show_sessions(backends: Iterable[str]) -> tuple[str, ...]:
    """Questions after the sessions of some backends; the answers, joined by lines, read like one to `SHOW_SESSIONS`."""
    return tuple(f"show stat {backend} 4 -1" for backend in sorted(backends))


def render_command(command: Command, paths: HaproxyPaths) -> tuple[str, ...]:
    """The lines that carry out one command; its names come from a screened state or from HAProxy itself."""
    match command:
        case NameBackend():
            return (f"add map {paths.keys} {command.backend} {command.key}",)
        case FreeBackend():
            return (f"del map {paths.keys} {command.backend}",)
        case AddServer():
            name = f"{command.backend}/{command.server}"
            address = f"[{command.address}]" if ":" in command.address else command.address
            return (f"add server {name} {address}:{command.port} {SERVER_OPTIONS}", f"enable health {name}")
        case MoveServer():
            name = f"{command.backend}/{command.server}"
            return (f"set server {name} addr {command.address} port {command.port}",)
        case SetServer():
            return (f"set server {command.backend}/{command.server} state {command.state.value}",)
        case DeleteServer():
            return (f"del server {command.backend}/{command.server}",)
        case AddHost():
            return (f"add map {paths.hosts} {command.host} {command.backend}",)
        case MoveHost():
            return (f"set map {paths.hosts} {command.host} {command.backend}",)
        case DropHost():
            return (f"del map {paths.hosts} {command.host}",)
        case _ as never:
            assert_never(never)


def accepts_reply(line: str, reply: str) -> bool:
    """Whether HAProxy did what the line asked, by its answer: most commands answer nothing."""
    if line.startswith("add server "):
        return "New server registered" in reply
    if line.startswith("del server "):
        return "Server deleted" in reply
    if " addr " in line:
        return "changed" in reply
    return not reply


def parse_observed(replies: Sequence[str], stat: str = "") -> IngressObserved:
    """What HAProxy does, from its answers to `show_commands` and after sessions; not asked for, they are 0."""
    info, backends, keys, hosts, servers = replies
    facts = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
    held = parse_map(keys)
    sessions = _parse_stat(stat)
    found: dict[str, list[ServerObserved]] = {}
    for backend, server in _parse_servers(servers):
        count, status = sessions.get((backend, server.name), (0, ""))
        found.setdefault(backend, []).append(
            ServerObserved(
                name=server.name,
                address=server.address,
                port=server.port,
                state=server.state,
                sessions=count,
                status=status,
            )
        )
    names = [line for line in backends.splitlines() if _POOL_NAME.fullmatch(line)]
    return IngressObserved(
        process=Process(pid=int(facts["Pid"]), started_at_seconds=int(facts["Start_time_sec"])),
        backends=tuple(Backend(name=n, key=held.get(n), servers=tuple(found.get(n, ()))) for n in names),
        hosts=parse_map(hosts),
        dropped_logs=int(facts.get("DroppedLogs", 0)),
    )


def parse_map(text: str) -> dict[str, str]:
    """The entries that `show map` lists; of entries that contradict each other the value is empty."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        _, _, entry = line.partition(" ")
        key, _, value = entry.partition(" ")
        if key:
            entries[key] = value if entries.get(key, value) == value else ""
    return entries


def parse_sessions(text: str) -> Mapping[str, int]:
    """Open sessions by server name, from the answer to `SHOW_SESSIONS`; one name in several backends is summed."""
    totals: dict[str, int] = {}
    for (_, name), (count, _) in _parse_stat(text).items():
        totals[name] = totals.get(name, 0) + count
    return totals


def parse_old_workers(text: str) -> tuple[int, ...]:
    """The process ids of workers that a reload left behind to finish their connections, from `show proc`."""
    _, _, old = text.partition("# old workers")
    pids: list[int] = []
    for line in old.splitlines()[1:]:
        if line.startswith("#"):
            break
        words = line.split()
        if len(words) > 1 and words[1] == "worker":
            pids.append(int(words[0]))
    return tuple(pids)


def _parse_stat(text: str) -> dict[tuple[str, str], tuple[int, str]]:
    lines = text.splitlines()
    header = lines[0].removeprefix("# ").split(",") if lines else []
    if not header:
        return {}
    current, status = header.index("scur"), header.index("status")
    last = max(current, status) + 1
    rows = (line.split(",", last) for line in lines[1:] if line)
    return {(row[0], row[1]): (int(row[current] or 0), row[status]) for row in rows if _POOL_NAME.fullmatch(row[0])}


def _parse_servers(text: str) -> list[tuple[str, ServerObserved]]:
    lines = text.splitlines()
    header = next((line for line in lines if line.startswith("# ")), "").split()[1:]
    if not header:
        return []
    pick = itemgetter(*map(header.index, ("be_name", "srv_name", "srv_addr", "srv_port", "srv_admin_state")))
    found: list[tuple[str, ServerObserved]] = []
    for line in lines:
        row = line.split()
        if line.startswith("#") or len(row) < len(header):
            continue
        backend, name, address, port, flags = pick(row)
        if _POOL_NAME.fullmatch(backend):
            server = ServerObserved(name=name, address=address, port=int(port), state=_state(int(flags)))
            found.append((backend, server))
    return found


def _state(flags: int) -> ServerState:
    if flags & _ADMIN_MAINT:
        return ServerState.MAINT
    return ServerState.DRAIN if flags & _ADMIN_DRAIN else ServerState.READY
