"""The steady duty behind heartbeats: write reports, end silent links, follow silence, renew certificates."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from controld.core.authority import Authority
from controld.core.link import Links
from controld.core.nodes import Nodes
from controld.core.reports import Reports
from controld.rules.node_state import compute_patience
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_FLUSH_SECONDS: Final = 1.0
_RENEWAL_SECONDS: Final = 3600.0


class Heartbeats:
    """Runs each second until cancelled; a database that fails delays a round and ends nothing."""

    def __init__(
        self, *, links: Links, reports: Reports, nodes: Nodes, authority: Authority, clock: Clock, lost_seconds: float
    ) -> None:
        self._links = links
        self._reports = reports
        self._nodes = nodes
        self._authority = authority
        self._clock = clock
        self._lost_seconds = lost_seconds

    async def run(self) -> None:
        """Keep the duty."""
        fleet = 0
        followed = renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            self._links.sweep(fleet=fleet)
            await self._guarded("write reports", self._reports.flush)
            now, beat_seconds = self._clock.monotonic(), self._links.beat_seconds
            if now - followed >= beat_seconds:
                followed = now
                patience = compute_patience(beat_seconds, lost_seconds=self._lost_seconds)
                follow = functools.partial(self._nodes.follow_silence, patience)
                fleet = await self._guarded("follow silence", follow) or fleet
            if now - renewed >= _RENEWAL_SECONDS:
                renewed = now
                await self._guarded("renew certificate", self._authority.renew_own_if_due)

    async def _guarded(self, duty: str, work: Callable[[], Awaitable[int | bool | None]]) -> int:
        try:
            return int(await work() or 0)
        except Fault as fault:
            _log.warning("duty failed and is tried again", extra={"duty": duty, "code": fault.code})
        except Exception:  # noqa: BLE001 - one round that fails must not end the rounds to come
            _log.exception("duty failed", extra={"duty": duty})
        return 0
