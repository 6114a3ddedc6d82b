"""Makes HAProxy serve the wanted routes: files for its next start, runtime commands for now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence

from agent.core.faults import IngressUnavailable
from agent.host.haproxy import config
from agent.host.haproxy.commands import (
    SHOW_SESSIONS,
    accepts_reply,
    parse_observed,
    parse_sessions,
    render_command,
    show_commands,
    show_sessions,
)
from agent.host.haproxy.files import read_text, write_changed
from agent.host.haproxy.runtime import MasterSocket, RuntimeSocket
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
)
from agent.rules.ingress import fresh_pool, place_routes, plan_growth, plan_ingress, screen_state
from kit.clock import Clock

_log = logging.getLogger(__name__)

_RELOAD_POLL_SECONDS = 0.05
_RELOAD_SEEN = 3
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
        self._runtime = RuntimeSocket(paths.admin_socket, deadline_seconds=deadline_seconds)
        self._master = MasterSocket(paths.master_socket, clock=clock, deadline_seconds=deadline_seconds)
        self._changing = asyncio.Lock()

    async def prepare(self) -> None:
        """Write what HAProxy needs to start, keeping the state of last time; a running one reloads a changed base file.

        Call it when the agent starts and when the certificate list gets its first entry or loses its last.
        """
        async with self._changing:
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

    async def apply(self, wanted: IngressState) -> ApplyResult:
        reserved = (self._settings.control_domain,) if self._settings.control_domain else ()
        wanted, refused = screen_state(wanted, reserved)
        async with self._changing:
            try:
                observed, plan = await self._plan(wanted)
            except IngressUnavailable:
                await asyncio.to_thread(self._write_for_next_start, wanted)
                raise
            failed: tuple[str, ...] = ()
            reloaded = False
            if plan.unplaced:
                try:
                    await self._grow(wanted, observed)
                    _, plan = await self._plan(wanted)
                    reloaded = True
                except IngressUnavailable as fault:
                    # The routes that have their place are served all the same; the files wait for the next start.
                    failed = (f"cannot place {', '.join(plan.unplaced)}: {fault.message}",)
            else:
                size = max(len(observed.backends), self._pool_size)
                await asyncio.to_thread(self._write_state, wanted, plan.placement, size)
            refusals, kept = await self._carry_out(plan)
            failed += refusals
            lingering = {*plan.lingering, *kept, *await self._old_lingering(wanted)}
        if plan.commands or refused:
            _log.info("ingress changed", extra={"commands": len(plan.commands), "refused": refused, "failed": failed})
        return ApplyResult(
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
        failures = await self._run(first)
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
            (command, f"cannot {line.partition(' pool-max-conn')[0]}: {reply}")
            for (command, line), reply in zip(asked, replies, strict=True)
            if not accepts_reply(line, reply)
        ]

    async def _grow(self, wanted: IngressState, observed: IngressObserved) -> None:
        """Have a HAProxy with a larger pool, by a reload in which it takes the whole state from the files."""
        keys = [route.key for route in wanted.routes]
        size = plan_growth(keys, len(observed.backends))
        held = {b.name: b.key for b in observed.backends if b.key is not None}
        placement, _ = place_routes(keys, _pool(held, keys, size))
        _log.info("ingress pool grows", extra={"backends": size})
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

    def _write_base(self) -> bool:
        crt_list = self._settings.crt_list
        tls = crt_list is not None and bool((read_text(crt_list) or "").strip())
        self._paths.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path, text in (
            (self._paths.pool, config.render_pool(IngressState(), {}, self._pool_size)),
            (self._paths.keys, ""),
            (self._paths.hosts, ""),
        ):
            if read_text(path) is None:
                write_changed({path: text})
        return write_changed({self._paths.base: config.render_base(self._paths, self._settings, tls=tls)})

    def _write_for_next_start(self, wanted: IngressState) -> None:
        keys = [route.key for route in wanted.routes]
        size = max(config.parse_pool_size(read_text(self._paths.pool) or ""), self._pool_size)
        held = config.parse_keys(read_text(self._paths.keys) or "")
        placement, unplaced = place_routes(keys, _pool(held, keys, size))
        if unplaced:
            size = plan_growth(keys, size)
            placement, _ = place_routes(keys, _pool(held, keys, size))
        self._write_state(wanted, placement, size)

    def _write_state(self, wanted: IngressState, placement: Mapping[str, str], size: int) -> None:
        # Backends before the maps that lead to them, for a HAProxy that starts between two of the files.
        write_changed(
            {
                self._paths.pool: config.render_pool(wanted, placement, size),
                self._paths.keys: config.render_keys(wanted, placement),
                self._paths.hosts: config.render_hosts(wanted, placement),
            }
        )


def _pool(held: Mapping[str, str], keys: Collection[str], size: int) -> tuple[Backend, ...]:
    wanted = set(keys)
    return fresh_pool({key: name for name, key in held.items() if key in wanted}, size)
