"""Renders the files that HAProxy starts from: the base, the pool of backends and the two maps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.model.ingress import IngressState, Server, ServerState
from agent.rules.ingress import allows_host, pool_names

SERVER_OPTIONS = (
    "check inter 3s fastinter 500ms downinter 500ms fall 2 rise 1 observe layer4 error-limit 3 on-error mark-down "
    "pool-max-conn -1 pool-purge-delay 2s"
)
"""What every server is declared with, in the file and at run time: a dynamic server inherits no defaults."""

_CHALLENGES = "/.well-known/acme-challenge/ /.well-known/denia-challenge/"
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+@:=-]*")
_PLAIN_BIND = re.compile(r"[0-9A-Za-z.:*\[\],-]+")
_PLAIN_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

_LOG_FORMAT = (
    '{"at_ms":%[date(0,ms)],"host":"%[var(txn.host)]","route":"%[be_name,map_str(KEYS)]","server":"%s",'
    '"method":"%HM","path":"%[capture.req.uri,field(1,?),json(utf8s)]","status":%ST,"bytes":%B,"duration_ms":%Ta,'
    '"end":"%ts"}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HaproxyPaths:
    """Where HAProxy's files and sockets live: `state` outlives a reboot, `run` need not. Both are absolute."""

    state: Path
    run: Path

    def __post_init__(self) -> None:
        for path in (self.state, self.run):
            if not _PLAIN_PATH.fullmatch(str(path)):
                raise ValueError(f"cannot keep HAProxy's files in {str(path)!r}: the path is not absolute and plain")

    @property
    def base(self) -> Path:
        """Global section, frontend and fixed backends."""
        return self.state / "base.cfg"

    @property
    def pool(self) -> Path:
        """The pool's backends with their servers as last wanted."""
        return self.state / "pool.cfg"

    @property
    def hosts(self) -> Path:
        """Map from host to backend."""
        return self.state / "hosts.map"

    @property
    def keys(self) -> Path:
        """Map from backend to route key."""
        return self.state / "keys.map"

    @property
    def admin_socket(self) -> Path:
        """The runtime socket of the worker."""
        return self.run / "admin.sock"

    @property
    def master_socket(self) -> Path:
        """The socket of the master, which reloads."""
        return self.run / "master.sock"

    @property
    def access_log_socket(self) -> Path:
        """Where the agent takes access log datagrams."""
        return self.run / "access.sock"

    def command(self, program: str = "haproxy") -> tuple[str, ...]:
        """The argument list that starts HAProxy in the foreground on these files."""
        return (program, "-W", "-db", "-S", str(self.master_socket), "-f", str(self.base), "-f", str(self.pool))


@dataclass(frozen=True, slots=True, kw_only=True)
class HaproxySettings:
    """What the base file says beside the paths.

    `http_bind` and `https_bind` are `address:port`, or several with commas. HTTPS is bound once `crt_list` names a file
    that is not empty. Requests for `control_domain` go to `control_address`. With `user` and `group` the worker gives
    up root. `threads` is left to HAProxy when None. A client has `header_seconds` to send its request's headers;
    `idle_seconds` ends a request on which nothing moves, `tunnel_seconds` an upgraded connection.
    """

    http_bind: str = "*:80"
    https_bind: str = "*:443"
    crt_list: Path | None = None
    agent_port: int = 7191
    control_domain: str | None = None
    control_address: str = "127.0.0.1:7180"
    max_connections: int = 10_000
    threads: int | None = None
    user: str | None = None
    group: str | None = None
    header_seconds: int = 10
    idle_seconds: int = 3600
    tunnel_seconds: int = 86_400

    def __post_init__(self) -> None:
        for value in (self.http_bind, self.https_bind, self.control_address):
            if not _PLAIN_BIND.fullmatch(value):
                raise ValueError(f"cannot use the address {value!r}: it is not address:port")
        if self.control_domain is not None and not allows_host(self.control_domain):
            raise ValueError(f"cannot route control domain {self.control_domain!r}: it is not a lowercase host name")
        if self.crt_list is not None and not _PLAIN_PATH.fullmatch(str(self.crt_list)):
            raise ValueError(
                f"cannot read certificates from {str(self.crt_list)!r}: the path is not absolute and plain"
            )
        for name in (self.user, self.group):
            if name is not None and not _PLAIN_USER.fullmatch(name):
                raise ValueError(f"cannot run HAProxy as {name!r}: it is not a plain user or group name")


def render_base(paths: HaproxyPaths, settings: HaproxySettings, *, tls: bool = False) -> str:
    """The base file; `tls` says that the certificate list has something in it, so that HTTPS can be bound."""
    lines = [
        "global",
        f"  stats socket {paths.admin_socket} mode 600 level admin expose-fd listeners",
        "  stats timeout 30s",
        f"  maxconn {settings.max_connections}",
        "  no strict-limits",
        *([f"  nbthread {settings.threads}"] if settings.threads else []),
        *([f"  user {settings.user}"] if settings.user else []),
        *([f"  group {settings.group}"] if settings.group else []),
        *(["  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets"] if tls else []),
        "",
        "defaults edge",
        *_defaults(settings),
        "",
        "frontend web from edge",
        *_frontend(paths, settings, tls=tls),
        "",
        "backend unknown_host from edge",
        "  http-request set-log-level silent",
        r'  http-request return status 404 content-type text/plain string "no service answers at this host\n"',
        "",
        "backend agent_local from edge",
        "  http-request set-log-level silent",
        f"  server agent 127.0.0.1:{settings.agent_port}",
        "",
    ]
    if settings.control_domain is not None:
        lines += [
            "backend control from edge",
            "  http-request set-log-level silent",
            f"  server control {settings.control_address}",
            "",
        ]
    lines += ["defaults pool", *_defaults(settings), ""]
    return "\n".join(lines)


def render_pool(wanted: IngressState, placement: Mapping[str, str], size: int) -> str:
    """The pool's backends, each with the servers of its route, so that a fresh process serves them at once.

    The state must be screened. Only ready servers take requests after a start: nothing is left to drain by then.
    """
    servers = {placement[route.key]: route.servers for route in wanted.routes if route.key in placement}
    lines: list[str] = []
    for name in pool_names(size):
        lines.append(f"backend {name} from pool")
        for server in servers.get(name, ()):
            off = "" if server.state is ServerState.READY else " disabled"
            lines.append(f"  server {server.name} {render_address(server)} {SERVER_OPTIONS}{off}")
    return "\n".join([*lines, ""])


def render_hosts(wanted: IngressState, placement: Mapping[str, str]) -> str:
    """The map from host to backend."""
    return "".join(
        f"{host} {placement[route.key]}\n" for route in wanted.routes if route.key in placement for host in route.hosts
    )


def render_keys(wanted: IngressState, placement: Mapping[str, str]) -> str:
    """The map from backend to route key."""
    return "".join(f"{placement[route.key]} {route.key}\n" for route in wanted.routes if route.key in placement)


def render_address(server: Server) -> str:
    """`address:port`, IPv6 in brackets."""
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


def parse_pool_size(text: str) -> int:
    """How many backends a pool file declares."""
    return sum(line.startswith("backend p") for line in text.splitlines())


def parse_keys(text: str) -> dict[str, str]:
    """The key that holds each backend, from the text of a map file; lines that are not two words are skipped."""
    pairs: Iterable[list[str]] = (line.split() for line in text.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _defaults(settings: HaproxySettings) -> list[str]:
    return [
        "  mode http",
        "  balance roundrobin",
        f"  timeout http-request {settings.header_seconds}s",
        "  timeout http-keep-alive 60s",
        "  timeout connect 3s",
        f"  timeout client {settings.idle_seconds}s",
        f"  timeout server {settings.idle_seconds}s",
        f"  timeout tunnel {settings.tunnel_seconds}s",
        "  timeout client-fin 30s",
        "  timeout server-fin 30s",
        "  timeout check 2s",
        "  retries 3",
        "  retry-on conn-failure",
        "  option redispatch 1",
        "  option abortonclose",
        "  option http-ignore-probes",
        r'  http-error status 503 content-type text/plain string "no replica can answer now\n" hdr Retry-After 5',
    ]


def _frontend(paths: HaproxyPaths, settings: HaproxySettings, *, tls: bool) -> list[str]:
    challenge = f"{{ path_beg {_CHALLENGES} }}"
    lines = [f"  bind {settings.http_bind}"]
    if tls and settings.crt_list is not None:
        lines.append(f"  bind {settings.https_bind} ssl crt-list {settings.crt_list} strict-sni alpn http/1.1")
        challenge += " !{ ssl_fc }"
    lines += [
        f"  log {paths.access_log_socket} len 4096 format raw local0 info",
        f"  log-format '{_LOG_FORMAT.replace('KEYS', str(paths.keys))}'",
        "  http-request set-var(txn.host) req.fhdr(host),field(1,:),lower",
        "  http-request del-header x-forwarded- -m beg",
        "  http-request del-header x-real-ip",
        "  http-request del-header forwarded",
        "  http-request set-header X-Forwarded-For %[src]",
        f"  http-request set-header X-Forwarded-Proto {'%[ssl_fc,iif(https,http)]' if tls else 'http'}",
        "  http-request set-header X-Forwarded-Host %[req.fhdr(host)]",
        f"  use_backend agent_local if {challenge}",
    ]
    if settings.control_domain is not None:
        lines.append(f"  use_backend control if {{ var(txn.host) -m str {settings.control_domain} }}")
    lines += [
        f"  use_backend %[var(txn.host),map_str({paths.hosts},unknown_host)]",
        "  default_backend unknown_host",
    ]
    return lines
