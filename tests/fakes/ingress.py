"""An ingress in memory that follows commands the way HAProxy does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import assert_never

from agent.core.faults import IngressUnavailable
from agent.model.ingress import (
    AddCertificate,
    AddHost,
    AddServer,
    AdmitPeer,
    ApplyResult,
    Backend,
    Command,
    DeleteServer,
    DropCertificate,
    DropHost,
    ExpelPeer,
    FreeBackend,
    IngressObserved,
    IngressState,
    MoveHost,
    MoveServer,
    NameBackend,
    Process,
    SecureHost,
    ServerObserved,
    ServerState,
    SetServer,
    UnsecureHost,
    WeighServer,
)
from agent.rules.ingress import find_held, fresh_pool, place_routes, plan_growth, plan_ingress, screen_state
from agent.rules.tcp_ports import find_port, list_open_ports, list_ports


def follow(observed: IngressObserved, command: Command) -> IngressObserved:
    """What a proxy does after one command; an AssertionError where HAProxy would refuse it."""
    backends = {backend.name: backend for backend in observed.backends}
    hosts = dict(observed.hosts)
    certificates, secured, peers = dict(observed.certificates), set(observed.secured), set(observed.peers)
    match command:
        case AddHost():
            assert command.host not in hosts
            hosts[command.host] = command.backend
        case MoveHost():
            assert command.host in hosts
            hosts[command.host] = command.backend
        case DropHost():
            del hosts[command.host]
        case NameBackend():
            assert backends[command.backend].key is None
            backends[command.backend] = replace(backends[command.backend], key=command.key)
        case FreeBackend():
            assert not backends[command.backend].servers
            backends[command.backend] = replace(backends[command.backend], key=None)
        case AddServer():
            backend = backends[command.backend]
            assert command.server not in {server.name for server in backend.servers}
            server = ServerObserved(
                name=command.server,
                address=command.address,
                port=command.port,
                state=ServerState.MAINT,
                status="MAINT",
                weight=command.weight,
            )
            backends[command.backend] = replace(backend, servers=(*backend.servers, server))
        case MoveServer():
            backends[command.backend] = _change(
                backends[command.backend], command.server, address=command.address, port=command.port
            )
        case WeighServer():
            backends[command.backend] = _change(backends[command.backend], command.server, weight=command.weight)
        case SetServer():
            status = {ServerState.READY: "UP", ServerState.DRAIN: "DRAIN", ServerState.MAINT: "MAINT"}[command.state]
            backends[command.backend] = _change(
                backends[command.backend], command.server, state=command.state, status=status
            )
        case DeleteServer():
            backend = backends[command.backend]
            (gone,) = (server for server in backend.servers if server.name == command.server)
            assert gone.state is ServerState.MAINT
            assert gone.sessions == 0
            backends[command.backend] = replace(backend, servers=tuple(s for s in backend.servers if s is not gone))
        case AddCertificate():
            assert command.name not in certificates
            certificates[command.name] = command.host
        case DropCertificate():
            del certificates[command.name]
        case SecureHost():
            secured.add(command.host)
        case UnsecureHost():
            secured.remove(command.host)
        case AdmitPeer():
            assert command.node_id not in peers
            peers.add(command.node_id)
        case ExpelPeer():
            peers.remove(command.node_id)
        case _ as never:
            assert_never(never)
    return replace(
        observed,
        backends=tuple(backends.values()),
        hosts=hosts,
        certificates=certificates,
        secured=frozenset(secured),
        peers=frozenset(peers),
    )


class FakeIngress:
    """Serves what it is told; `hold` opens sessions on a server, `restart` and `down` do what a process may do."""

    def __init__(self, *, pool_size: int = 8) -> None:
        self._kept: tuple[IngressState, Mapping[str, str], int] = (IngressState(), {}, pool_size)
        self._observed = IngressObserved(
            process=Process(pid=1, started_at_seconds=1), backends=fresh_pool({}, pool_size), hosts={}
        )
        self._old: dict[str, int] = {}
        self.down = False
        self.applied: list[IngressState] = []

    async def observe(self) -> IngressObserved:
        if self.down:
            raise IngressUnavailable("cannot reach the ingress: the test holds it down")
        return self._observed

    async def identify(self) -> Process:
        return (await self.observe()).process

    async def apply(self, wanted: IngressState) -> ApplyResult:
        wanted, refused = screen_state(wanted)
        keys = [route.key for route in wanted.routes]
        plan, reloaded = plan_ingress(wanted, self._observed), False
        size = self._observed.pool_size
        self._kept = (wanted, plan.placement, size)
        renewed = bool(plan.unplaced) or list_open_ports(self._observed.backends) != list_ports(wanted.routes)
        if renewed:
            if any(find_port(key) is None for key in plan.unplaced):
                size = plan_growth(keys, size)
            fresh = fresh_pool(plan.placement, size, routes=wanted.routes)
            self._kept = (wanted, place_routes(keys, fresh)[0], size)
        if self.down:
            raise IngressUnavailable("cannot reach the ingress: the test holds it down")
        self.applied.append(wanted)
        if renewed:
            self._old = {s.name: s.sessions for b in self._observed.backends for s in b.servers if s.sessions}
            self.restart()
            plan, reloaded = plan_ingress(wanted, self._observed), True
        for command in plan.commands:
            self._observed = follow(self._observed, command)
        names = {server.name for route in wanted.routes for server in route.servers}
        lingering = {*plan.lingering, *(self._old.keys() - names)}
        return ApplyResult(
            screened=wanted,
            commands=len(plan.commands),
            reloaded=reloaded,
            lingering=tuple(sorted(lingering)),
            refused=refused,
        )

    async def sessions(self, names: Collection[str]) -> Mapping[str, int]:
        observed = await self.observe()
        counts = dict.fromkeys(names, 0)
        for server in (server for backend in observed.backends for server in backend.servers):
            if server.name in counts:
                counts[server.name] += server.sessions
        return {name: count + self._old.get(name, 0) for name, count in counts.items()}

    def hold(self, server: str, sessions: int) -> None:
        """Open that many sessions on the server of that name, wherever it is."""
        self._observed = replace(
            self._observed,
            backends=tuple(
                _change(backend, server, sessions=sessions)
                if server in {known.name for known in backend.servers}
                else backend
                for backend in self._observed.backends
            ),
        )

    def restart(self) -> None:
        """Begin again from what was kept for the next start, as a new process."""
        wanted, placement, size = self._kept
        routes = {placement[route.key]: route for route in wanted.routes if route.key in placement}
        held = find_held(wanted, self._observed.certificates)
        self._observed = IngressObserved(
            process=Process(
                pid=self._observed.process.pid + 1, started_at_seconds=self._observed.process.started_at_seconds + 1
            ),
            backends=tuple(
                replace(
                    backend,
                    servers=tuple(
                        ServerObserved(
                            name=server.name,
                            address=server.address,
                            port=server.port,
                            state=ServerState.READY if server.state is ServerState.READY else ServerState.MAINT,
                            weight=server.weight,
                        )
                        for server in routes[backend.name].servers
                    ),
                )
                if backend.name in routes
                else backend
                for backend in fresh_pool(placement, size, routes=wanted.routes)
            ),
            hosts={host: name for name, route in routes.items() for host in route.hosts},
            certificates=held,
            secured=frozenset(held.values()),
            peers=frozenset(wanted.peers),
        )


def _change(backend: Backend, name: str, **changes: object) -> Backend:
    assert name in {server.name for server in backend.servers}
    servers = tuple(
        replace(server, **changes) if server.name == name else server  # type: ignore[arg-type]
        for server in backend.servers
    )
    return replace(backend, servers=servers)
