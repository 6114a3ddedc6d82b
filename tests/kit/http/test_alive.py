"""Pings find out who has gone, and nobody else."""

from __future__ import annotations

import asyncio
from typing import cast

from kit.http.alive import watch_silence
from kit.http.websocket import DirectEnd
from tests.fakes.clock import FakeClock


class Peer:
    """A WebSocket whose other side answers pings as long as it is there."""

    def __init__(self) -> None:
        self.heard = 0
        self.pings = 0
        self.is_there = True
        self.is_broken = False
        self.is_paused = False

    @property
    def end(self) -> DirectEnd:
        return cast(DirectEnd, self)

    async def ping(self) -> None:
        if self.is_broken:
            raise ConnectionResetError
        self.pings += 1
        self.heard += self.is_there


def watch(peer: Peer, clock: FakeClock) -> asyncio.Task[None]:
    return asyncio.ensure_future(watch_silence(peer, peer.ping, clock=clock, ping_seconds=20))


async def test_who_answers_is_there_for_ever_and_who_does_not_for_two_pings() -> None:
    peer, clock = Peer(), FakeClock()
    watching = watch(peer, clock)
    await clock.advance(600)
    assert not watching.done()
    peer.is_there = False
    await clock.advance(39)
    assert not watching.done()
    await clock.advance(21)
    assert watching.done()
    assert peer.pings >= 31


async def test_our_own_silence_is_not_held_against_the_other_side() -> None:
    peer, clock = Peer(), FakeClock()
    peer.is_there, peer.is_paused = False, True
    watching = watch(peer, clock)
    await clock.advance(600)
    assert not watching.done()
    peer.is_paused = False
    await clock.advance(60)
    assert watching.done()


async def test_a_connection_that_is_broken_is_over_at_once() -> None:
    peer, clock = Peer(), FakeClock()
    peer.is_broken = True
    await asyncio.wait_for(watch(peer, clock), 1)
