"""7a: consoles beside `docker exec`: how long an echo takes, how much gets through, and what is left behind."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from functools import partial

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import LOAD_CORE, wait_until
from benchmarks.platforms import local_image, make_service, running_platform
from benchmarks.terminals import Terminal, console, execed
from tests.agent.console_world import find_commands
from tests.e2e.platform import Platform, docker


def measure(effort: Effort) -> list[Finding]:
    """One service with one replica, whose container the peer enters too; sides in turn."""
    os.sched_setaffinity(0, {LOAD_CORE})
    with local_image() as image, running_platform() as platform:
        service_id = asyncio.run(make_service(platform, image, name="shelled"))
        container = docker("ps", "-q", "--filter", f"label=moorage.service={service_id}").split()[0]
        echoes, seconds = effort.pick(2000, 200), effort.pick(3.0, 0.5)
        echo = interleave(
            {
                "pipes": partial(_echo_ours, platform, service_id, echoes, terminal=False),
                "docker": partial(_echo_exec, container, echoes),
                "terminal": partial(_echo_ours, platform, service_id, echoes, terminal=True),
            },
            rounds=effort.rounds,
        )

        def flow(command: str, *, terminal: bool) -> dict[str, list[float]]:
            return interleave(
                {
                    "ours": partial(_flow_ours, platform, service_id, command, seconds, terminal=terminal),
                    "docker": partial(_flow_exec, container, command, seconds, terminal=terminal),
                },
                rounds=effort.rounds,
            )

        plain = flow("yes", terminal=False)
        lines, blocks = flow("yes", terminal=True), flow("yes | cat", terminal=True)
        left = [_leave(platform, service_id) for _ in range(effort.rounds)]
    return [
        Finding(
            goal="echo of a key, p50, both without a terminal",
            limit=1.35,
            ours=tuple(echo["pipes"]),
            peer=tuple(echo["docker"]),
            peer_name="`docker exec -i`",
            unit="us",
            note="client, controld, agent over mutual TLS, engine",
        ),
        Finding(
            goal="echo of a key, p50, ours with a terminal",
            limit=1.35,
            ours=tuple(echo["terminal"]),
            peer=tuple(echo["docker"]),
            peer_name="`docker exec -i`",
            unit="us",
            note="the peer has pipes: its way has no terminal on it, which the kernel wakes a worker for both ways",
        ),
        Finding(
            goal="bytes that get through, both without a terminal",
            limit=1.0,
            at_least=True,
            ours=tuple(plain["ours"]),
            peer=tuple(plain["docker"]),
            peer_name="`docker exec -i` of `yes`",
            unit="MB/s",
        ),
        Finding(
            goal="bytes that get through, both with a terminal",
            limit=1.3,
            at_least=True,
            ours=tuple(lines["ours"]),
            peer=tuple(lines["docker"]),
            peer_name="`docker exec -it` of `yes`",
            unit="MB/s",
            note="busybox `yes` writes line by line to a terminal",
        ),
        Finding(
            goal="blocks that get through, both with a terminal",
            limit=1.3,
            at_least=True,
            ours=tuple(blocks["ours"]),
            peer=tuple(blocks["docker"]),
            peer_name="`docker exec -it` of `yes | cat`",
            unit="MB/s",
        ),
        Finding(
            goal="from the end of the connection to the end of what it ran",
            limit=2.0,
            ours=tuple(left),
            unit="s",
            note="`yes` in a console that is closed",
        ),
    ]


def _echo_ours(platform: Platform, service_id: str, echoes: int, *, terminal: bool) -> float:
    with console(platform, service_id, "exec busybox cat", terminal=terminal) as opened:
        return _echo(opened, echoes)


def _echo_exec(container: str, echoes: int) -> float:
    with execed(container, "exec busybox cat", terminal=False) as terminal:
        return _echo(terminal, echoes)


def _echo(terminal: Terminal, echoes: int) -> float:
    """Microseconds from a line's sending to its return, the median."""
    time.sleep(0.3)
    taken = []
    for number in range(echoes):
        line = f"{number}\n".encode()
        started = time.perf_counter()
        terminal.write(line)
        back = b""
        while not back.endswith(line):
            back += terminal.read()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


def _flow_ours(platform: Platform, service_id: str, command: str, seconds: float, *, terminal: bool) -> float:
    with console(platform, service_id, _spell(command), terminal=terminal) as opened:
        return _flow(opened, seconds)


def _flow_exec(container: str, command: str, seconds: float, *, terminal: bool) -> float:
    with execed(container, _spell(command), terminal=terminal) as opened:
        return _flow(opened, seconds)


def _spell(command: str) -> str:
    return " | ".join(f"busybox {word}" for word in command.split(" | "))


def _flow(terminal: Terminal, seconds: float) -> float:
    """Megabytes a second that arrive, once it flows."""
    terminal.read()
    size, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds:
        size += len(terminal.read())
    return size / taken / 1e6


def _leave(platform: Platform, service_id: str) -> float:
    with console(platform, service_id, "busybox yes") as terminal:
        terminal.read()
        wait_until(lambda: bool(find_commands(rb"^busybox\x00yes\x00")), what="the console runs something")
        started = time.perf_counter()
    wait_until(lambda: not find_commands(rb"^busybox\x00yes\x00"), what="what the console ran has ended")
    return time.perf_counter() - started


ROW = Row(
    id="7a",
    title="Console: echo at most 1.35x `docker exec -i`; throughput at least 1.0x, and 1.3x with a terminal",
    recipe="`cat` for echoes, `yes` for throughput; a client without a library on the load's core",
    measure=measure,
)
