"""The runtime socket's language: commands as lines, and what its answers mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import assert_never

from agent.host.haproxy.certificates import normalise_pem, parse_crt_list, render_crt_list
from agent.host.haproxy.config import HaproxyPaths, render_options
from agent.model.ingress import (
    AddCertificate,
    AddHost,
    AddServer,
    AdmitPeer,
    Backend,
    Command,
    DeleteServer,
    DropCertificate,
    DropHost,
    ExpelPeer,
    FreeBackend,
    IngressObserved,
    MoveHost,
    MoveServer,
    NameBackend,
    Process,
    RouteActivity,
    SecureHost,
    ServerObserved,
    ServerState,
    SetServer,
    UnsecureHost,
    WeighServer,
)

SHOW_SESSIONS = "show stat -1 4 -1"
"""All servers, and nothing but servers, with their open sessions."""

_POOL_NAME = re.compile(r"[pt]\d{4,}")
"""A backend of the pool, or of a TCP port."""
_SSL_DONE = ("New empty certificate store", "already exists", "Transaction ", "Success!", "deleted")
"""A store that a broken attempt left behind exists already, and takes its certificate like a new one."""
_SERVER_COLUMNS = ("be_name", "srv_name", "srv_addr", "srv_port", "srv_admin_state", "srv_uweight")
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
        f"show map {paths.secured}",
        f"show map {paths.peers}",
        f"show ssl crt-list {paths.crt_list}",
    )


def show_activity(paths: HaproxyPaths) -> tuple[str, ...]:
    """The questions whose answers `parse_activity` takes, in its order."""
    return ("show info", f"show map {paths.keys}", "show stat -1 2 -1")


def show_sessions(backends: Iterable[str]) -> tuple[str, ...]:
    """Questions after the sessions of some backends; the answers, joined by lines, read like one to `SHOW_SESSIONS`."""
    return tuple(f"show stat {backend} 4 -1" for backend in sorted(backends))


def render_command(command: Command, paths: HaproxyPaths) -> tuple[str, ...]:
    """The lines that carry out one command; its names come from a screened state or from HAProxy itself.

    What follows the first newline of a line is sent along with it, for HAProxy to take as it is.
    """
    match command:
        case NameBackend():
            return (f"add map {paths.keys} {command.backend} {command.key}",)
        case FreeBackend():
            return (f"del map {paths.keys} {command.backend}",)
        case AddServer():
            name = f"{command.backend}/{command.server}"
            address = f"[{command.address}]" if ":" in command.address else command.address
            options = render_options(paths, weight=command.weight, peer=command.peer)
            return (f"add server {name} {address}:{command.port} {options}", f"enable health {name}")
        case WeighServer():
            return (f"set weight {command.backend}/{command.server} {command.weight}",)
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
        case AddCertificate():
            file = paths.certificates / f"{command.name}.pem"
            entry = render_crt_list(paths.certificates, [(command.name, command.host)])
            return (
                f"new ssl cert {file}",
                f"set ssl cert {file} <<\n{normalise_pem(command.pem)}",
                f"commit ssl cert {file}",
                f"add ssl crt-list {paths.crt_list} <<\n{entry}",
            )
        case DropCertificate():
            file = paths.certificates / f"{command.name}.pem"
            return (f"del ssl crt-list {paths.crt_list} {file}", f"del ssl cert {file}")
        case SecureHost():
            return (f"add map {paths.secured} {command.host} yes",)
        case UnsecureHost():
            return (f"del map {paths.secured} {command.host}",)
        case AdmitPeer():
            return (f"add map {paths.peers} {command.node_id} yes",)
        case ExpelPeer():
            return (f"del map {paths.peers} {command.node_id}",)
        case _ as never:
            assert_never(never)


def accepts_reply(line: str, reply: str) -> bool:
    """Whether HAProxy did what the line asked, by its answer: most commands answer nothing."""
    if line.startswith("add server "):
        return "New server registered" in reply
    if line.startswith("del server "):
        return "Server deleted" in reply
    if " ssl " in line:
        return any(word in reply for word in _SSL_DONE)
    if " addr " in line:
        return "changed" in reply
    return not reply


def parse_observed(replies: Sequence[str], stat: str = "") -> IngressObserved:
    """What HAProxy does, from its answers to `show_commands` and after sessions; not asked for, they are 0."""
    info, backends, keys, hosts, servers, secured, peers, certificates = replies
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
                weight=server.weight,
            )
        )
    names = [line for line in backends.splitlines() if _POOL_NAME.fullmatch(line)]
    return IngressObserved(
        process=parse_process(info),
        backends=tuple(Backend(name=n, key=held.get(n), servers=tuple(found.get(n, ()))) for n in names),
        hosts=parse_map(hosts),
        certificates=parse_crt_list(certificates),
        secured=frozenset(parse_map(secured)),
        # Without an identity there is no such map yet, and HAProxy says so in a sentence.
        peers=frozenset(parse_map(peers) if peers.startswith("0x") else ()),
        dropped_logs=int(facts.get("DroppedLogs", 0)),
    )


def parse_process(info: str) -> Process:
    """Which process it is, from the answer to `show info`."""
    facts = dict(line.split(": ", 1) for line in info.splitlines() if line.startswith(("Pid: ", "Start_time_sec: ")))
    return Process(pid=int(facts["Pid"]), started_at_seconds=int(facts["Start_time_sec"]))


def parse_activity(replies: Sequence[str]) -> dict[str, RouteActivity]:
    """What each route's backend tells of its requests, by the route's key."""
    info, keys, stat = replies
    facts = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
    held, uptime = parse_map(keys), float(facts["Uptime_sec"])
    lines = stat.splitlines()
    header = lines[0].removeprefix("# ").split(",") if lines else []
    if not header:
        return {}
    current, last = header.index("scur"), header.index("lastsess")
    found: dict[str, RouteActivity] = {}
    for row in (line.split(",") for line in lines[1:] if line):
        if row[0] in held:
            idle = float(row[last] or -1)
            found[held[row[0]]] = RouteActivity(
                open_requests=int(row[current] or 0), idle_seconds=uptime if idle < 0 else idle
            )
    return found


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
    pick = itemgetter(
        *map(header.index, ("be_name", "srv_name", "srv_addr", "srv_port", "srv_admin_state", "srv_uweight"))
    )
    found: list[tuple[str, ServerObserved]] = []
    for line in lines:
        row = line.split()
        if line.startswith("#") or len(row) < len(header):
            continue
        backend, name, address, port, flags, weight = pick(row)
        if _POOL_NAME.fullmatch(backend):
            server = ServerObserved(
                name=name, address=address, port=int(port), state=_state(int(flags)), weight=int(weight)
            )
            found.append((backend, server))
    return found


def _state(flags: int) -> ServerState:
    if flags & _ADMIN_MAINT:
        return ServerState.MAINT
    return ServerState.DRAIN if flags & _ADMIN_DRAIN else ServerState.READY
