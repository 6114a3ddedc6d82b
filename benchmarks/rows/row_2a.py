"""2a: a heartbeat taken by controld beside length-prefixed frames on a bare protocol."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.clients import Clients, connected_fleet
from benchmarks.fleet import enrol_fleet, make_peers_identities
from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import (
    SERVER_CORE,
    find_free_port,
    process,
    read_cpu_seconds,
    wait_for_port,
)
from benchmarks.platforms import running_platform

_NODES: Final = 1000
_LIMIT: Final = 1.6
# controld ends a link that is silent for three beats; the fleet is silent while others are dialled and loaded.
_PATIENCE: Final = {"MOORAGE_BEAT_SECONDS": "60"}


def measure(effort: Effort) -> list[Finding]:
    """Link a fleet with controld, connect as many clients to both peers, and let each beat in turn."""
    count, seconds = effort.pick(_NODES, 20), effort.pick(3.0, 1.0)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        platform = stack.enter_context(running_platform(_PATIENCE))
        enrol_fleet(folder / "fleet", api_url=platform.api_url, token=platform.token, count=count)
        make_peers_identities(folder / "peers")
        sides: dict[str, Callable[[], float]] = {}
        for name, identities in {"bare": folder / "peers", "plain": None}.items():
            port = find_free_port()
            peer = [sys.executable, "-m", "benchmarks.peers.bare_frames", str(port), *_named(identities)]
            pid = stack.enter_context(process(peer, core=SERVER_CORE))
            wait_for_port(port)
            connected = stack.enter_context(connected_fleet("frames", port, count, identities))
            sides[name] = partial(_beat, connected, pid=pid, seconds=seconds)
        linked = stack.enter_context(connected_fleet("links", platform.ports.node_side, count, folder / "fleet"))
        sides["ours"] = partial(_beat, linked, pid=platform.pid("controld"), seconds=seconds)
        found = interleave(sides, rounds=effort.rounds)
    ours = tuple(found["ours"])
    return [
        Finding(
            goal="CPU per heartbeat over mutual TLS",
            limit=_LIMIT,
            ours=ours,
            peer=tuple(found["bare"]),
            peer_name="bare frames over mutual TLS",
            unit="μs",
            note=f"{count} nodes of 20 containers, {linked.heartbeat_bytes} B a heartbeat; host numbers differ each "
            "time, and are written behind once a second",
        ),
        Finding(
            goal="CPU per heartbeat over mutual TLS",
            limit=None,
            ours=ours,
            peer=tuple(found["plain"]),
            peer_name="bare frames without TLS",
            unit="μs",
        ),
    ]


def _beat(clients: Clients, *, pid: int, seconds: float) -> float:
    """Microseconds of CPU that each heartbeat cost the server."""
    before = read_cpu_seconds(pid)
    answered = clients.beat(seconds)
    return (read_cpu_seconds(pid) - before) / answered * 1e6


def _named(identities: Path | None) -> Sequence[str]:
    return [] if identities is None else [str(identities)]


ROW = Row(
    id="2a",
    title="A heartbeat with decode, store and write-behind: at most 1.6x the CPU of length-prefixed frames on a bare "
    "asyncio.Protocol with decode and a dict",
    recipe="1,000 enrolled nodes, a closed loop of 3 s; the node side of a real controld, certificates on both ends",
    measure=measure,
)
