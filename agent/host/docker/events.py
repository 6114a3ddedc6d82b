"""The watch on the engine's events: it outlives garbage, cut connections and restarts of the engine."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
import json
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

from agent.core.faults import EngineRefused, EngineUnavailable
from agent.host.docker.images import read_records
from agent.host.docker.session import EngineSession
from agent.model.engine import EngineEvent, EventKind
from agent.rules.containers import name_network
from agent.rules.engine_containers import NODE_LABEL
from agent.rules.engine_events import FILTERS, parse_event, parse_event_nanoseconds, render_since
from kit.clock import Clock

_log = logging.getLogger(__name__)

_REMEMBERED_EVENTS = 1024
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 5.0
_SILENT_SECONDS = 60.0
"""A stream on which nothing came for so long is opened anew: one that has died makes no sound either."""


class EngineEvents:
    """Watches the containers that carry `moorage.node=<node_id>`, and who leaves their network.

    `jitter` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        session: EngineSession,
        *,
        node_id: str,
        clock: Clock,
        jitter: Callable[[], float],
        silent_seconds: float = _SILENT_SECONDS,
    ) -> None:
        self._session = session
        self._node_id = node_id
        self._network = name_network(node_id)
        self._silent_seconds = silent_seconds
        self._clock = clock
        self._jitter = jitter

    async def watch(self, since: dt.datetime | None) -> AsyncGenerator[EngineEvent]:
        """Events for ever, none twice, RESYNC after each connection."""
        # The engine subscribes a moment after it answers; what happens between is in its buffer, by `since`.
        since_nanoseconds = to_nanoseconds(since or self._clock.now())
        seen: collections.deque[tuple[int, str, EventKind]] = collections.deque(maxlen=_REMEMBERED_EVENTS)
        failures = 0
        while True:
            opened_at: float | None = None
            params = {
                "since": render_since(since_nanoseconds),
                "filters": json.dumps(FILTERS),
            }
            try:
                async with self._session.open(
                    "GET",
                    "/events",
                    doing="watch events",
                    params=params,
                    head_timeout_seconds=self._session.call_timeout_seconds,
                ) as response:
                    opened_at = self._clock.monotonic()
                    if failures:
                        _log.info("engine events found again")
                    yield EngineEvent(kind=EventKind.RESYNC, at=self._clock.now(), container_id=None)
                    async with contextlib.aclosing(read_records(response)) as records:
                        while (record := await self._take(records)) is not None:
                            event = parse_event(record, label=NODE_LABEL, value=self._node_id, network=self._network)
                            nanoseconds = parse_event_nanoseconds(record)
                            if event is None or nanoseconds is None or event.container_id is None:
                                continue
                            failures = 0
                            since_nanoseconds = nanoseconds
                            key = (nanoseconds, event.container_id, event.kind)
                            if key not in seen:
                                seen.append(key)
                                yield event
                why = "the engine closed the stream"
            except TimeoutError:
                continue
            except (EngineUnavailable, EngineRefused) as error:
                why = error.message
            if opened_at is not None and self._clock.monotonic() - opened_at > _LONGEST_DELAY_SECONDS:
                failures = 0
            delay_seconds = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(failures, 10))
            delay_seconds *= 0.5 + 0.5 * self._jitter()
            if not failures:
                _log.warning("engine events lost", extra={"reason": why})
            failures += 1
            await self._clock.sleep(delay_seconds)

    async def _take(self, records: AsyncGenerator[dict[str, Any]]) -> dict[str, Any] | None:
        """The next record, None at the end; TimeoutError when there was none for long."""
        async with asyncio.timeout(self._silent_seconds):
            return await anext(records, None)


def to_nanoseconds(moment: dt.datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond."""
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000
