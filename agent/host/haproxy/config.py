"""Renders the files that HAProxy starts from: the base, the pool of backends and the maps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.host.haproxy.ports import list_hosts, render_inner_port, render_port
from agent.model.ingress import INNER_PREFIX, INNER_SUFFIX, PEER_PREFIX, IngressState, Server, ServerState
from agent.rules.ingress import pool_names
from agent.rules.tcp_ports import find_port

SERVER_OPTIONS = (
    "check inter 3s fastinter 500ms downinter 500ms fall 2 rise 1 observe layer4 error-limit 3 on-error mark-down "
    "pool-max-conn -1 pool-purge-delay 2s"
)
"""What every replica is declared with, in the file and at run time: a dynamic server inherits no defaults."""
_PEER_OPTIONS = (
    "check inter 10s fastinter 1s downinter 2s fall 2 rise 1 observe layer4 error-limit 3 on-error mark-down "
    "pool-max-conn -1 pool-purge-delay 10s"
)
"""The same for another node's ingress, which each service that it takes part in checks on its own."""

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
    def secured(self) -> Path:
        """Map of the hosts whose plain HTTP is sent to HTTPS."""
        return self.state / "secured.map"

    @property
    def certificates(self) -> Path:
        """The folder of certificates with their keys."""
        return self.state / "certificates"

    @property
    def crt_list(self) -> Path:
        """The list of certificates, each with its host."""
        return self.state / "certificates.list"

    @property
    def peers(self) -> Path:
        """Map of the nodes that may hand requests over."""
        return self.state / "peers.map"

    @property
    def pair(self) -> Path:
        """This node's certificate and key, to speak with other nodes."""
        return self.state / "node.pem"

    @property
    def authority(self) -> Path:
        """The authority of all nodes."""
        return self.state / "authority.pem"

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

    `http_bind` and `https_bind` are `address:port`, or several with commas; without `https_bind` nothing is served over
    TLS, and without `peer_bind` other nodes cannot hand requests over. With `user` and `group` the worker gives up
    root. `threads` is left to HAProxy when None. A client has `header_seconds` to send its request's headers;
    `idle_seconds` ends a request on which nothing moves, `tunnel_seconds` an upgraded connection.
    """

    http_bind: str = "*:80"
    https_bind: str | None = "*:443"
    peer_bind: str | None = None
    agent_port: int = 7191
    max_connections: int = 10_000
    threads: int | None = None
    user: str | None = None
    group: str | None = None
    header_seconds: int = 10
    idle_seconds: int = 3600
    tunnel_seconds: int = 86_400

    def __post_init__(self) -> None:
        for value in (self.http_bind, self.https_bind, self.peer_bind):
            if value is not None and not _PLAIN_BIND.fullmatch(value):
                raise ValueError(f"cannot use the address {value!r}: it is not address:port")
        for name in (self.user, self.group):
            if name is not None and not _PLAIN_USER.fullmatch(name):
                raise ValueError(f"cannot run HAProxy as {name!r}: it is not a plain user or group name")


def render_base(paths: HaproxyPaths, settings: HaproxySettings, *, identity: str | None = None) -> str:
    """The base file; HTTPS is bound from the start, so that the first certificate needs no reload.

    `identity` tells the node's certificate and authority from every other, so that the file changes with them; None:
    there are none yet, and no other node is spoken to.
    """
    lines = [
        "global",
        f"  stats socket {paths.admin_socket} mode 600 level admin expose-fd listeners",
        "  stats timeout 30s",
        f"  maxconn {settings.max_connections}",
        "  no strict-limits",
        *([f"  nbthread {settings.threads}"] if settings.threads else []),
        *([f"  user {settings.user}"] if settings.user else []),
        *([f"  group {settings.group}"] if settings.group else []),
        *(["  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets"] if settings.https_bind else []),
        "",
        "defaults edge",
        *_defaults(settings),
        "",
        "frontend web from edge",
        *_frontend(paths, settings),
        "",
        *(_peers_frontend(paths, settings, identity) if identity is not None else []),
        "backend unknown_host from edge",
        "  http-request set-log-level silent",
        r'  http-request return status 404 content-type text/plain string "no service answers at this host\n"',
        "",
        "backend agent_local from edge",
        "  http-request set-log-level silent",
        f"  server agent 127.0.0.1:{settings.agent_port}",
        "",
        "defaults pool",
        *_defaults(settings),
        # What a node answers whose replicas cannot take it, having done nothing with it: another one is asked.
        "  retry-on conn-failure 425",
        "",
        "defaults tcp",
        *_tcp_defaults(settings),
        "",
    ]
    return "\n".join(lines)


def render_pool(
    wanted: IngressState, placement: Mapping[str, str], size: int, *, paths: HaproxyPaths, bind: str
) -> str:
    """The pool's backends, each with the servers of its route, so that a fresh process serves them at once.

    The routes of TCP ports have a backend and a frontend each, at the addresses of `bind`. The state must be screened.
    Only ready servers take requests after a start: nothing is left to drain by then.
    """
    routes = {placement[route.key]: route for route in wanted.routes if route.key in placement}
    lines: list[str] = []
    for name in pool_names(size):
        lines.append(f"backend {name} from pool")
        lines += _servers(paths, routes[name].servers if name in routes else ())
    for name, route in routes.items():
        port = find_port(route.key)
        if port is not None:
            hosts = list_hosts(bind)
            if route.key.endswith(INNER_SUFFIX):
                lines += render_inner_port(
                    port, backend=name, hosts=hosts, pair=paths.pair, authority=paths.authority, peers=paths.peers
                )
            else:
                lines += render_port(port, backend=name, hosts=hosts)
            lines += [f"backend {name} from tcp", *_servers(paths, route.servers)]
    return "\n".join([*lines, ""])


def render_options(paths: HaproxyPaths, *, weight: int, peer: str | None) -> str:
    """What a server is declared with: a replica, or the ingress of the node whose certificate has the name `peer`."""
    share = "" if weight == 1 else f" weight {weight}"
    if peer is None:
        return SERVER_OPTIONS + share
    tls = f"ssl verify required ca-file {paths.authority} crt {paths.pair} verifyhost {peer}"
    return f"{tls} {_PEER_OPTIONS}{share}"


def render_peers(nodes: Iterable[str]) -> str:
    """The map of the nodes that may hand requests over."""
    return "".join(f"{node} yes\n" for node in sorted(nodes))


def render_hosts(wanted: IngressState, placement: Mapping[str, str]) -> str:
    """The map from host to backend."""
    return "".join(
        f"{host} {placement[route.key]}\n" for route in wanted.routes if route.key in placement for host in route.hosts
    )


def render_secured(hosts: Iterable[str]) -> str:
    """The map of hosts that are served over TLS alone."""
    return "".join(f"{host} yes\n" for host in sorted(set(hosts)))


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


def _servers(paths: HaproxyPaths, servers: Iterable[Server]) -> Iterable[str]:
    for server in servers:
        off = "" if server.state is ServerState.READY else " disabled"
        options = render_options(paths, weight=server.weight, peer=server.peer)
        yield f"  server {server.name} {render_address(server)} {options}{off}"


def _tcp_defaults(settings: HaproxySettings) -> list[str]:
    return [
        "  mode tcp",
        # Connections may stay for days: new ones go where the fewest are.
        "  balance leastconn",
        "  timeout connect 3s",
        # Until both sides are connected, and TLS is agreed upon; the tunnel's holds from then on.
        f"  timeout client {settings.header_seconds}s",
        f"  timeout server {settings.header_seconds}s",
        f"  timeout tunnel {settings.tunnel_seconds}s",
        "  timeout client-fin 30s",
        "  timeout server-fin 30s",
        "  timeout check 2s",
        "  retries 3",
        "  option redispatch 1",
        "  option clitcpka",
        "  option srvtcpka",
    ]


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


def _peers_frontend(paths: HaproxyPaths, settings: HaproxySettings, identity: str) -> list[str]:
    """What other nodes hand over goes to replicas of this one alone, as it came; a removed node is refused."""
    if settings.peer_bind is None:
        return []
    return [
        f"# {identity}",
        "frontend peers from edge",
        f"  bind {settings.peer_bind} ssl crt {paths.pair} ca-file {paths.authority} verify required alpn http/1.1",
        f"  log {paths.access_log_socket} len 4096 format raw local0 info",
        f"  log-format '{_LOG_FORMAT.replace('KEYS', str(paths.keys))}'",
        "  option dontlognull",
        "  http-request set-var(txn.host) req.fhdr(host),field(1,:),lower",
        f"  acl admitted ssl_c_s_dn(cn),word(2,' '),map_str({paths.peers}) -m found",
        "  http-request set-log-level silent if !admitted",
        "  http-request deny deny_status 403 if !admitted",
        f"  http-request set-var-fmt(txn.inner) {INNER_PREFIX}%[var(txn.host)]",
        f"  http-request set-var(txn.pool) var(txn.inner),map_str({paths.hosts},unknown_host)",
        "  acl idle var(txn.pool),nbsrv eq 0",
        "  http-request set-log-level silent if idle",
        r'  http-request return status 425 content-type text/plain string "no replica here can answer now\n" if idle',
        "  use_backend %[var(txn.pool)]",
        "  default_backend unknown_host",
        "",
    ]


def _frontend(paths: HaproxyPaths, settings: HaproxySettings) -> list[str]:
    lines = [f"  bind {settings.http_bind}"]
    if settings.https_bind is not None:
        lines.append(f"  bind {settings.https_bind} ssl crt-list {paths.crt_list} strict-sni alpn h2,http/1.1")
    lines += [
        f"  log {paths.access_log_socket} len 4096 format raw local0 info",
        f"  log-format '{_LOG_FORMAT.replace('KEYS', str(paths.keys))}'",
        "  http-request set-var(txn.host) req.fhdr(host),field(1,:),lower",
        "  http-request del-header x-forwarded- -m beg",
        "  http-request del-header x-real-ip",
        "  http-request del-header forwarded",
        "  http-request set-header X-Forwarded-For %[src]",
        "  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
        "  http-request set-header X-Forwarded-Host %[req.fhdr(host)]",
        "  acl challenge path_beg /.well-known/acme-challenge/ /.well-known/denia-challenge/",
        f"  acl secured var(txn.host),map_str({paths.secured}) -m found",
        "  acl plain ssl_fc,not -m bool",
        "  http-request redirect code 308 location https://%[var(txn.host)]%[pathq] if plain secured !challenge",
        "  use_backend agent_local if plain challenge",
        # The node that has the replica logs it, and knows which one it was.
        f"  http-response set-log-level silent if {{ srv_name -m beg {PEER_PREFIX} }}",
        f"  use_backend %[var(txn.host),map_str({paths.hosts},unknown_host)]",
        "  default_backend unknown_host",
    ]
    return lines
