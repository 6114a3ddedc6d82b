"""Makes HAProxy serve the wanted routes: files for its next start, runtime commands for now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from agent.core.faults import IngressUnavailable
from agent.host.haproxy import config
from agent.host.haproxy.certificates import CertificateFiles, parse_crt_list, render_crt_list
from agent.host.haproxy.commands import (
    SHOW_SESSIONS,
    accepts_reply,
    parse_activity,
    parse_observed,
    parse_process,
    parse_sessions,
    render_command,
    show_activity,
    show_commands,
    show_sessions,
)
from agent.host.haproxy.files import read_text, write_changed
from agent.host.haproxy.identity import find_identity, write_identity
from agent.host.haproxy.ports import find_taken, list_hosts
from agent.host.haproxy.runtime import MasterSocket, RuntimeSocket
from agent.model.identity import Identity
from agent.model.ingress import (
    ApplyResult,
    Backend,
    Command,
    DeleteServer,
    FreeBackend,
    IngressObserved,
    IngressState,
    Plan,
    Process,
    RouteActivity,
)
from agent.rules.ingress import drop_peers, find_held, fresh_pool, place_routes, plan_growth, plan_ingress, screen_state
from agent.rules.tcp_ports import drop_ports, find_port, list_open_ports, list_ports
from kit.clock import Clock

_log = logging.getLogger(__name__)

_RELOAD_POLL_SECONDS = 0.05
_RELOAD_SEEN = 3
_BATCH = 200
_DELETE_AGAIN_SECONDS = (0.01, 0.05)
"""A server in maintenance can be deleted once each thread of HAProxy has closed its idle connections, which is soon."""


class HaproxyIngress:
    """The ingress of a node, by way of a HAProxy process that somebody else starts and keeps running.

    Nothing about the proxy is remembered between calls: each observes first, so a HAProxy that was restarted or changed
    by others is led back. `pool_size` is the number of backends that a first start declares; it doubles when it is too
    small, by a reload that drops no connection.
    """

    def __init__(
        self,
        paths: config.HaproxyPaths,
        settings: config.HaproxySettings,
        *,
        clock: Clock,
        pool_size: int = 512,
        deadline_seconds: float = 5.0,
        reload_seconds: float = 30.0,
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._clock = clock
        self._pool_size = pool_size
        self._reload_seconds = reload_seconds
        self._runtime = RuntimeSocket(paths.admin_socket, master=paths.master_socket, deadline_seconds=deadline_seconds)
        self._certificates = CertificateFiles(paths.certificates)
        self._master = MasterSocket(paths.master_socket, clock=clock, deadline_seconds=deadline_seconds)
        self._changing = asyncio.Lock()

    async def prepare(self, identity: Identity | None = None) -> None:
        """Write what HAProxy needs to start, keeping the last state; a running one reloads a changed base file.

        Other nodes are spoken to under the `identity` given last, which is kept.
        """
        async with self._changing:
            if identity is not None and self._settings.peer_bind is not None:
                await asyncio.to_thread(write_identity, self._paths, identity)
            if not await asyncio.to_thread(self._write_base):
                return
            try:
                before = (await self.observe()).process
            except IngressUnavailable:
                return
            await self._reload(before)

    async def observe(self) -> IngressObserved:
        *replies, stat = await self._runtime.ask([*show_commands(self._paths), SHOW_SESSIONS])
        return parse_observed(replies, stat)

    async def identify(self) -> Process:
        (info,) = await self._runtime.ask(["show info"])
        return parse_process(info)

    async def apply(self, wanted: IngressState) -> ApplyResult:
        wanted, refused = screen_state(wanted)
        if self._settings.https_bind is None and wanted.certificates:
            refused += ("cannot serve hosts over TLS: HTTPS has no port here",)
            wanted = replace(wanted, certificates=())
        if not await asyncio.to_thread(self._knows_nodes):
            wanted = drop_peers(wanted)
        async with self._changing:
            wanted, bad = await asyncio.to_thread(self._certificates.accept, wanted)
            refused += bad
            asked = wanted
            try:
                observed, plan = await self._plan(wanted)
            except IngressUnavailable:
                # What keeps a port from a proxy that does not run would keep the proxy from its start.
                wanted, _ = await asyncio.to_thread(self._drop_taken, wanted, list_ports(wanted.routes))
                await asyncio.to_thread(self._write_for_next_start, wanted)
                raise
            opened = list_open_ports(observed.backends)
            failed: tuple[str, ...] = ()
            if new := list_ports(wanted.routes) - opened:
                wanted, failed = await asyncio.to_thread(self._drop_taken, wanted, new)
                plan = plan_ingress(wanted, observed)
            reloaded = False
            if plan.unplaced or opened != list_ports(wanted.routes):
                try:
                    await self._grow(wanted, observed, unplaced=plan.unplaced)
                    _, plan = await self._plan(wanted)
                    reloaded = True
                except IngressUnavailable as fault:
                    # The routes that have their place are served all the same; the files wait for the next start.
                    failed += (f"cannot place {', '.join(plan.unplaced) or 'closed ports'}: {fault.message}",)
            else:
                size = max(observed.pool_size, self._pool_size)
                await asyncio.to_thread(self._write_state, wanted, plan.placement, size)
            refusals, kept = await self._carry_out(plan)
            failed += refusals
            lingering = {*plan.lingering, *kept, *await self._old_lingering(wanted)}
        if plan.commands or refused:
            _log.info("ingress changed", extra={"commands": len(plan.commands), "refused": refused, "failed": failed})
        return ApplyResult(
            screened=asked,
            commands=len(plan.commands),
            reloaded=reloaded,
            lingering=tuple(sorted(lingering)),
            refused=refused,
            failed=failed,
        )

    async def sessions(self, names: Collection[str]) -> Mapping[str, int]:
        (stat,) = await self._runtime.ask([SHOW_SESSIONS])
        now, old = parse_sessions(stat), await self._master.old_sessions()
        return {name: now.get(name, 0) + old.get(name, 0) for name in names}

    async def read_activity(self) -> Mapping[str, RouteActivity]:
        """What is open on each route by its key, and how long ago the last request began."""
        return parse_activity(await self._runtime.ask(show_activity(self._paths)))

    async def read_old_sessions(self) -> Mapping[str, int]:
        """Open sessions by server in processes that finish after a reload."""
        return await self._master.old_sessions()

    async def _plan(self, wanted: IngressState) -> tuple[IngressObserved, Plan]:
        """What is served and the plan from there; sessions are asked for only where a server is to go."""
        replies = await self._runtime.ask(show_commands(self._paths))
        observed = parse_observed(replies)
        plan = plan_ingress(wanted, observed)
        leaving = {command.backend for command in plan.commands if isinstance(command, DeleteServer)}
        if leaving:
            observed = parse_observed(replies, "\n".join(await self._runtime.ask(show_sessions(leaving))))
            plan = plan_ingress(wanted, observed)
        return observed, plan

    async def _carry_out(self, plan: Plan) -> tuple[tuple[str, ...], set[str]]:
        """The sentences about what was refused, and the servers that could not be deleted yet."""
        first = [command for command in plan.commands if not isinstance(command, FreeBackend)]
        failures: list[tuple[Command, str]] = []
        for start in range(0, len(first), _BATCH):
            failures += await self._run(first[start : start + _BATCH])
        kept = [command for command, _ in failures if isinstance(command, DeleteServer)]
        for pause_seconds in _DELETE_AGAIN_SECONDS:
            if not kept:
                break
            await self._clock.sleep(pause_seconds)
            kept = [command for command, _ in await self._run(kept) if isinstance(command, DeleteServer)]
        occupied = {command.backend for command in kept}
        freed = [c for c in plan.commands if isinstance(c, FreeBackend) and c.backend not in occupied]
        failures += await self._run(freed)
        failed = tuple(sentence for command, sentence in failures if not isinstance(command, DeleteServer))
        return failed, {command.server for command in kept}

    async def _run(self, commands: Sequence[Command]) -> list[tuple[Command, str]]:
        asked = [(command, line) for command in commands for line in render_command(command, self._paths)]
        replies = await self._runtime.ask([line for _, line in asked])
        return [
            (command, f"cannot {line.partition(chr(10))[0].partition(' pool-max-conn')[0]}: {reply}")
            for (command, line), reply in zip(asked, replies, strict=True)
            if not accepts_reply(line, reply)
        ]

    async def _grow(self, wanted: IngressState, observed: IngressObserved, *, unplaced: Collection[str]) -> None:
        """Have a HAProxy with the wanted ports, and with a larger pool if it is too small for the `unplaced`.

        It reloads for this, and takes the whole state from the files.
        """
        keys = [route.key for route in wanted.routes]
        size = observed.pool_size
        if any(find_port(key) is None for key in unplaced):
            size = plan_growth(keys, size)
        held = {b.name: b.key for b in observed.backends if b.key is not None}
        placement, _ = place_routes(keys, _pool(held, wanted, size))
        _log.info("ingress reloads", extra={"backends": size, "ports": sorted(list_ports(wanted.routes))})
        await asyncio.to_thread(self._write_state, wanted, placement, size)
        await self._reload(observed.process)

    async def _reload(self, before: Process) -> None:
        await self._master.reload()
        deadline = self._clock.monotonic() + self._reload_seconds
        seen = 0
        while self._clock.monotonic() < deadline:
            await self._clock.sleep(_RELOAD_POLL_SECONDS)
            try:
                observed = await self.observe()
            except IngressUnavailable:
                continue
            # Both workers take from one listening socket until the old one lets go of it.
            seen = seen + 1 if observed.process != before else 0
            if seen == _RELOAD_SEEN:
                return
        raise IngressUnavailable(
            f"cannot reload HAProxy: no new process within {self._reload_seconds:g} s; its own log says why"
        )

    async def _old_lingering(self, wanted: IngressState) -> set[str]:
        names = {server.name for route in wanted.routes for server in route.servers}
        return {name for name, count in (await self._master.old_sessions()).items() if count and name not in names}

    def _knows_nodes(self) -> bool:
        return self._settings.peer_bind is not None and find_identity(self._paths) is not None

    def _write_base(self) -> bool:
        self._paths.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path, text in (
            (self._paths.pool, self._render_pool(IngressState(), {}, self._pool_size)),
            (self._paths.keys, ""),
            (self._paths.hosts, ""),
            (self._paths.secured, ""),
            (self._paths.peers, ""),
            (self._paths.crt_list, ""),
        ):
            if read_text(path) is None:
                write_changed({path: text})
        base = config.render_base(self._paths, self._settings, identity=find_identity(self._paths))
        return write_changed({self._paths.base: base})

    def _write_for_next_start(self, wanted: IngressState) -> None:
        keys = [route.key for route in wanted.routes]
        size = max(config.parse_pool_size(read_text(self._paths.pool) or ""), self._pool_size)
        held = config.parse_keys(read_text(self._paths.keys) or "")
        placement, unplaced = place_routes(keys, _pool(held, wanted, size))
        if unplaced:
            size = plan_growth(keys, size)
            placement, _ = place_routes(keys, _pool(held, wanted, size))
        self._write_state(wanted, placement, size)

    def _write_state(self, wanted: IngressState, placement: Mapping[str, str], size: int) -> None:
        # Backends before the maps that lead to them, for a HAProxy that starts between two of the files.
        listed = parse_crt_list(read_text(self._paths.crt_list) or "")
        held = find_held(wanted, {name: host for name, host in listed.items() if self._certificates.has(name)})
        write_changed(
            {
                self._paths.crt_list: render_crt_list(self._paths.certificates, held.items()),
                self._paths.secured: config.render_secured(held.values()),
                self._paths.peers: config.render_peers(wanted.peers),
                self._paths.pool: self._render_pool(wanted, placement, size),
                self._paths.keys: config.render_keys(wanted, placement),
                self._paths.hosts: config.render_hosts(wanted, placement),
            }
        )
        self._certificates.drop_others(held)

    def _render_pool(self, wanted: IngressState, placement: Mapping[str, str], size: int) -> str:
        return config.render_pool(wanted, placement, size, paths=self._paths, bind=self._settings.http_bind)

    def _drop_taken(self, wanted: IngressState, ports: Collection[int]) -> tuple[IngressState, tuple[str, ...]]:
        """The state without those of the ports that others have here: a port costs nothing but itself."""
        taken = find_taken(sorted(ports), hosts=list_hosts(self._settings.http_bind))
        sentences = tuple(f"cannot listen on port {port}: another program of this host has it" for port in taken)
        return drop_ports(wanted, taken), sentences


def _pool(held: Mapping[str, str], wanted: IngressState, size: int) -> tuple[Backend, ...]:
    keys = {route.key for route in wanted.routes}
    return fresh_pool({key: name for name, key in held.items() if key in keys}, size, routes=wanted.routes)
