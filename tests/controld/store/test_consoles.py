"""Consoles and tickets on both databases."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt

from controld.model.page import Page
from controld.store.consoles import ConsoleStore, ConsoleTicketStore
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.projects import ProjectStore
from controld.store.services import ServiceStore
from kit.clock import SystemClock
from tests.controld.consoles import AT, HOLDER, make_console, make_ticket
from tests.controld.store.rows import PROJECT, SERVICE

_IDS = [f"00000000-0000-7000-8000-{number:012}" for number in range(3)]


async def _service(database: Database) -> str:
    async with database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await ServiceStore().add(tx, SERVICE)
    return SERVICE.id


async def test_a_ticket_is_what_it_was_and_good_once(either_database: Database) -> None:
    store, service_id = ConsoleTicketStore(), await _service(either_database)
    ticket = make_ticket("a" * 64, service_id=service_id)
    async with either_database.write() as tx:
        await store.add(tx, ticket)
    async with either_database.write() as tx:
        assert await store.take(tx, ticket.sha256) == ticket
    async with either_database.write() as tx:
        assert await store.take(tx, ticket.sha256) is None


async def test_a_ticket_made_at_one_controld_is_taken_once_by_all_of_them(postgres_url: str) -> None:
    store = ConsoleTicketStore()
    controlds = [Database(postgres_url, feed=Feed(name), clock=SystemClock()) for name in ("one", "two", "three")]
    for each in controlds:
        await each.open()
    service_id = await _service(controlds[0])
    for number in range(20):
        ticket = make_ticket(f"{number:064}", service_id=service_id)
        async with controlds[0].write() as tx:
            await store.add(tx, ticket)

        async def take(controld: Database, sha256: str = ticket.sha256) -> bool:
            async with controld.write() as tx:
                return await store.take(tx, sha256) is not None

        assert sorted(await asyncio.gather(*map(take, controlds))) == [False, False, True]
    for each in controlds:
        await each.close()


async def test_tickets_that_were_not_used_in_time_are_dropped(either_database: Database) -> None:
    store, service_id = ConsoleTicketStore(), await _service(either_database)
    async with either_database.write() as tx:
        for number, seconds in enumerate((0, 10, 20)):
            ticket = make_ticket(str(number) * 64, service_id=service_id)
            await store.add(tx, dataclasses.replace(ticket, expires_at=AT + dt.timedelta(seconds=seconds)))
        await store.drop_expired(tx, AT + dt.timedelta(seconds=10))
        found = [await store.take(tx, str(number) * 64) is not None for number in range(3)]
    assert found == [False, False, True]


async def test_the_end_of_a_console_is_written_once(either_database: Database) -> None:
    store, console = ConsoleStore(), make_console(_IDS[0])
    at = AT + dt.timedelta(seconds=5)
    async with either_database.write() as tx:
        await store.add(tx, console)
        assert await store.list_open(tx) == [console]
        ended = await store.finish(tx, console.id, at=at, how="exited", exit_code=7)
        assert ended == dataclasses.replace(console, ended_at=at, how="exited", exit_code=7)
        assert await store.finish(tx, console.id, at=at, how="lost", exit_code=None) is None
        assert await store.get(tx, console.id) == ended
        assert await store.list_open(tx) == []
    assert console.holder == HOLDER


async def test_consoles_with_a_transcript_are_listed_in_pages_newest_first(either_database: Database) -> None:
    store = ConsoleStore()
    async with either_database.write() as tx:
        for id_ in _IDS:
            await store.add(tx, make_console(id_))
        for id_ in (_IDS[0], _IDS[2]):
            await store.note_transcript(tx, id_, size_bytes=5)
        found = await store.list_recorded(tx, "s-1", page=Page(limit=1))
        assert [console.id for console in found] == [_IDS[2], _IDS[0]]
        found = await store.list_recorded(tx, "s-1", page=Page(limit=1, before=_IDS[2]))
        assert [(console.id, console.transcript_bytes) for console in found] == [(_IDS[0], 5)]
        assert await store.list_recorded(tx, "s-2", page=Page(limit=1)) == []


async def test_what_ended_long_ago_is_found_and_forgotten(either_database: Database) -> None:
    store = ConsoleStore()
    async with either_database.write() as tx:
        for id_, hours in zip(_IDS, (1, 2, None), strict=True):
            await store.add(tx, make_console(id_))
            if hours is not None:
                await store.finish(tx, id_, at=AT + dt.timedelta(hours=hours), how="exited", exit_code=0)
        assert await store.list_older(tx, AT + dt.timedelta(hours=2), limit=10) == [_IDS[0]]
        await store.delete(tx, [_IDS[0]])
        assert await store.get(tx, _IDS[0]) is None
        assert await store.get(tx, _IDS[1]) is not None
