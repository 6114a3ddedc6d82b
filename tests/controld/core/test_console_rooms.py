"""Rooms for consoles are given back however their clients go."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from controld.core.console_rooms import ConsoleRooms
from controld.core.faults import TooManyConsoles
from controld.core.node_directory import NodeDirectory
from controld.model.console import ConsoleTerms, ConsoleTicket
from controld.model.node import Node
from controld.store.engine import Database
from controld.store.nodes import NodeStore
from tests.agent.console_world import begin
from tests.controld.consoles import make_ticket
from tests.controld.deploying import make_node
from tests.fakes.clock import FakeClock
from tests.fakes.consoles import FakeConsoleAgents
from tests.waiting import eventually

TERMS = ConsoleTerms(
    at_once=3,
    per_service=1,
    ticket_seconds=30,
    grace_seconds=60,
    idle_seconds=600,
    limit_seconds=3600,
    ping_seconds=20,
)


class SlowAgents(FakeConsoleAgents):
    """Ends consoles when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def end_console(self, node: Node, console_id: str) -> None:
        await self.go.wait()
        await super().end_console(node, console_id)


def ticket(session_id: str, service_id: str = "s-1") -> ConsoleTicket:
    return dataclasses.replace(make_ticket("a" * 64, service_id=service_id), session_id=session_id)


async def make_rooms(database: Database, agents: FakeConsoleAgents) -> tuple[ConsoleRooms, FakeClock]:
    async with database.write() as tx:
        await NodeStore().add(tx, make_node("n-1"))
    clock = FakeClock()
    directory = NodeDirectory(database=database, store=NodeStore(), feed=database.feed)
    return ConsoleRooms(agents=agents, directory=directory, clock=clock, terms=TERMS), clock


async def test_a_client_that_goes_while_another_console_is_ended_for_it_leaves_no_room_taken(
    database: Database,
) -> None:
    agents = SlowAgents()
    rooms, _ = await make_rooms(database, agents)
    first = ticket("c-1")
    await rooms.enter(first)
    await agents.open_console(make_node("n-1"), "c-1", begin())
    rooms.keep(first)
    waiting = asyncio.ensure_future(rooms.enter(ticket("c-2")))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert len(rooms) == 0
    await rooms.enter(ticket("c-3"))
    agents.go.set()
    ended = await eventually(lambda: agents.shells["c-1"].ended)
    assert ended is not None
    assert ended.how == "evicted"
    await rooms.close()


async def test_a_room_is_kept_for_the_grace_of_who_vanished(database: Database) -> None:
    rooms, clock = await make_rooms(database, FakeConsoleAgents())
    first = ticket("c-0")
    await rooms.enter(first)
    with pytest.raises(TooManyConsoles):
        await rooms.enter(ticket("c-1"))
    rooms.keep(first)
    assert (len(rooms), rooms.connected) == (1, 0)
    await clock.advance(75)
    await rooms.enter(ticket("c-9", "s-2"))
    assert len(rooms) == 1


async def test_who_was_replaced_does_not_give_the_room_of_the_other_back(database: Database) -> None:
    rooms, _ = await make_rooms(database, FakeConsoleAgents())
    former, newer = ticket("c-1"), ticket("c-1")
    await rooms.enter(former)
    await rooms.enter(newer)
    rooms.keep(former)
    assert (len(rooms), rooms.connected) == (1, 1)
    rooms.keep(newer)
    assert (len(rooms), rooms.connected) == (1, 0)
