"""The duty of certificates: prompt after changes, side by side, and never a hammer."""

from __future__ import annotations

import asyncio
import logging

import pytest

from controld.core.certificates import Certificates
from controld.loops.certificates import CertificateDuty
from controld.model.certificate import SecuredHost
from controld.store.feed import Feed
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock


class Hosts(Certificates):
    """Hosts that are due until they were tried; those in `hanging` never end, those in `broken` raise."""

    def __init__(self, *names: str) -> None:
        self.due = list(names)
        self.hanging: set[str] = set()
        self.broken: set[str] = set()
        self.tried: list[str] = []
        self.swept = 0

    async def list_due(self) -> list[SecuredHost]:
        return [SecuredHost(hostname=name, service_id=None) for name in self.due]

    async def drop_useless(self) -> None:
        self.swept += 1

    async def renew(self, host: SecuredHost) -> bool:
        self.tried.append(host.hostname)
        if host.hostname in self.hanging:
            await asyncio.Event().wait()
        if host.hostname in self.broken:
            raise RuntimeError("a bug")
        self.due.remove(host.hostname)
        return True


async def run(hosts: Hosts, clock: FakeClock, tasks: Tasks) -> None:
    tasks.start("duty", CertificateDuty(certificates=hosts, feed=Feed("test"), clock=clock).run())
    for _ in range(10):
        await clock.advance(1)


async def test_hosts_that_hang_or_break_hold_no_other_up(caplog: pytest.LogCaptureFixture) -> None:
    hosts, clock, tasks = Hosts("hang", "break", *(f"h{n}" for n in range(9))), FakeClock(), Tasks("test")
    hosts.hanging.add("hang")
    hosts.broken.add("break")
    with caplog.at_level(logging.CRITICAL):
        await run(hosts, clock, tasks)
    assert hosts.due == ["hang", "break"]
    assert hosts.tried.count("hang") == hosts.tried.count("break") == 1
    with caplog.at_level(logging.CRITICAL):
        await clock.advance(400)
    assert hosts.tried.count("break") == 2, "what breaks is left alone for some minutes"
    await tasks.close()


async def test_the_beat_finds_what_no_change_told_of_and_useless_ones_go_twice_a_day() -> None:
    hosts, clock, tasks = Hosts(), FakeClock(), Tasks("test")
    await run(hosts, clock, tasks)
    hosts.due.append("late")
    for _ in range(70):
        await clock.advance(1)
    assert hosts.due == []
    assert hosts.swept == 1
    await clock.advance(43_200)
    for _ in range(5):
        await clock.advance(1)
    assert hosts.swept == 2
    await tasks.close()
