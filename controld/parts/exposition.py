"""The parts that tell Prometheus how controld does."""

from __future__ import annotations

import asyncio
from typing import Final

from controld.api.exposition.auth import ScrapeAuth
from controld.api.exposition.surface import make_surface
from controld.core.exposition import Exposition
from controld.core.logs import Logs
from controld.parts.consoles import ConsoleParts
from controld.parts.ground import Ground
from controld.parts.nodes import NodeParts
from controld.parts.people import People
from controld.store.census import CensusStore
from controld.store.data_dir import read_own_secret
from kit.http.surface import Surface
from kit.http.tally import Tally
from kit.loop_lag import LoopLag
from kit.process import fetch_process
from kit.tasks import Tasks
from wire.version import RELEASE

METRICS_TOKEN_FILE: Final = "metrics-token"


async def open_exposition(
    ground: Ground,
    *,
    people: People,
    nodes: NodeParts,
    consoles: ConsoleParts,
    logs: Logs,
    tally: Tally,
    loops: Tasks,
) -> Surface:
    """The surface, with the metrics token read or made; `loops` runs what measures."""
    token = ground.settings.metrics_token
    if token is None:
        file = ground.settings.data_dir / METRICS_TOKEN_FILE
        token = await asyncio.to_thread(read_own_secret, file, ids=ground.ids)
    lag = LoopLag(ground.clock)
    loops.start("loop lag", lag.run())
    exposition = make_exposition(ground, people=people, nodes=nodes, consoles=consoles, logs=logs, tally=tally, lag=lag)
    auth = ScrapeAuth(people.identities.recognise, metrics_token=token)
    return make_surface(exposition, auth=auth, note_forbidden=people.refusals.note_forbidden)


def make_exposition(
    ground: Ground,
    *,
    people: People,
    nodes: NodeParts,
    consoles: ConsoleParts,
    logs: Logs,
    tally: Tally,
    lag: LoopLag,
) -> Exposition:
    """What tells of these parts."""
    links, reports, rooms = nodes.links, nodes.reports, consoles.rooms
    return Exposition(
        database=ground.database,
        census=CensusStore(),
        tally=tally,
        process=fetch_process,
        gauges={
            "loop_lag_seconds": ("How late the event loop was at its newest beat.", lambda: lag.newest_seconds),
            "loop_lag_worst_seconds": ("The worst of the last minute.", lambda: lag.worst_seconds),
            "links": ("Nodes that are linked to this controld.", lambda: float(len(links))),
            "beat_seconds": ("The pace of heartbeats.", lambda: links.beat_seconds),
            "reports_waiting": ("Nodes whose newest heartbeat is not written yet.", lambda: float(reports.waiting)),
            "refusals_waiting": (
                "Refused attempts that the audit does not hold yet.",
                lambda: float(people.refusals.waiting),
            ),
            "consoles": ("Consoles that have their client here, or had until a moment ago.", lambda: float(len(rooms))),
            "consoles_connected": ("Consoles that have their client here.", lambda: float(rooms.connected)),
            "log_streams": ("Logs of services that are followed here.", lambda: float(logs.streams)),
            "log_upstreams": (
                "Streams of nodes that are open for those who get lines as their node told them.",
                lambda: float(logs.upstreams),
            ),
        },
        counters={
            "links_opened_total": ("Links that nodes opened.", lambda: float(links.opened)),
            "links_silent_total": ("Links that were ended for their silence.", lambda: float(links.fell_silent)),
            "heartbeats_total": ("Heartbeats that were taken.", lambda: float(reports.taken)),
        },
        clock=ground.clock,
        version=RELEASE,
    )
