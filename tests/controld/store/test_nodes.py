"""Nodes and join tokens, the same on both databases."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt

from controld.model.change import Change
from controld.model.node import JoinToken, Node, NodeState
from controld.store.engine import Database
from controld.store.nodes import JoinTokenStore, NodeStore

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NODE = Node(
    id="00000000-0000-7000-8000-000000000001",
    name="vm1",
    state=NodeState.JOINING,
    labels={"zone": "a"},
    address="10.0.0.1",
    port=7190,
    certificate_serial="aa",
    previous_serial=None,
    certificate_expires_at=NOW + dt.timedelta(days=90),
    agent_version=None,
    wire_version=None,
    created_at=NOW,
    heard_at=None,
    removed_at=None,
)
TOKEN = JoinToken(
    id="00000000-0000-7000-8000-00000000000a",
    secret_sha256="ab" * 32,
    created_by=None,
    created_at=NOW,
    expires_at=NOW + dt.timedelta(minutes=15),
    node_id=None,
)


async def test_a_node_is_read_as_it_was_written_and_told_on_the_feed(either_database: Database) -> None:
    store, told = NodeStore(), either_database.feed.watch("node")
    async with either_database.write() as tx:
        await store.add(tx, NODE)

    async with either_database.read() as tx:
        assert await store.get(tx, NODE.id) == NODE
        assert await store.list(tx) == [NODE]
        assert await store.list(tx, after=NODE.id) == []
        assert await store.is_name_taken(tx, "vm1")
        assert await store.count_replicas(tx, NODE.id) == 0
        assert await store.get(tx, TOKEN.id) is None
    assert Change("node", NODE.id) in await told.next()


async def test_a_state_moves_only_from_the_one_it_was_decided_on(either_database: Database) -> None:
    store = NodeStore()
    async with either_database.write() as tx:
        await store.add(tx, NODE)
        assert await store.change_state(tx, NODE.id, before=NodeState.JOINING, after=NodeState.READY)
        assert not await store.change_state(tx, NODE.id, before=NodeState.JOINING, after=NodeState.LOST)

    async with either_database.read() as tx:
        assert await store.get(tx, NODE.id) == dataclasses.replace(NODE, state=NodeState.READY)


async def test_a_removed_node_frees_its_name_and_takes_no_certificate(either_database: Database) -> None:
    store = NodeStore()
    async with either_database.write() as tx:
        await store.add(tx, NODE)
        assert await store.remove(tx, NODE.id, name="vm1~gone", removed_at=NOW)
        assert not await store.remove(tx, NODE.id, name="vm1~gone", removed_at=NOW)
        assert not await store.replace_certificate(
            tx, NODE.id, serial="bb", previous_serial=None, expires_at=NODE.certificate_expires_at
        )
        assert not await store.is_name_taken(tx, "vm1")
        assert await store.list(tx) == []
        removed = await store.get(tx, NODE.id)
    assert removed is not None
    assert not removed.accepts("aa")


async def test_the_earlier_certificate_serves_until_the_next_one_is_in_use(either_database: Database) -> None:
    store = NodeStore()
    expires_at = NOW + dt.timedelta(days=180)
    async with either_database.write() as tx:
        await store.add(tx, NODE)
        await store.replace_certificate(tx, NODE.id, serial="bb", previous_serial="aa", expires_at=expires_at)
        between = await store.get(tx, NODE.id)
        assert not await store.forget_previous_serial(tx, NODE.id, serial="aa")
        await store.forget_previous_serial(tx, NODE.id, serial="bb")
        after = await store.get(tx, NODE.id)
    assert between is not None
    assert after is not None
    assert [node.accepts("aa") for node in (between, after)] == [True, False]
    assert [node.accepts("bb") for node in (between, after)] == [True, True]


async def test_the_agent_and_its_address_are_noted(either_database: Database) -> None:
    store = NodeStore()
    async with either_database.write() as tx:
        await store.add(tx, NODE)
        await store.set_agent(tx, NODE.id, agent_version="1.2", wire_version=3, peer_port=7192)
        await store.set_address(tx, NODE.id, address="10.0.0.2", port=1)
        node = await store.get(tx, NODE.id)
    assert node == dataclasses.replace(
        NODE, agent_version="1.2", wire_version=3, address="10.0.0.2", port=1, peer_port=7192
    )


async def test_of_many_who_use_one_token_at_once_exactly_one_gets_it(either_database: Database) -> None:
    store = JoinTokenStore()
    async with either_database.write() as tx:
        await store.add(tx, TOKEN)

    async def use() -> JoinToken | None:
        async with either_database.write() as tx:
            return await store.use(tx, TOKEN.secret_sha256, now=NOW)

    got = await asyncio.gather(*(use() for _ in range(6)))

    assert [token for token in got if token is not None] == [TOKEN]


async def test_a_token_that_expired_is_of_no_use_and_another_secret_never_was(either_database: Database) -> None:
    store = JoinTokenStore()
    async with either_database.write() as tx:
        await store.add(tx, TOKEN)
        assert await store.use(tx, TOKEN.secret_sha256, now=TOKEN.expires_at) is None
        assert await store.use(tx, "cd" * 32, now=NOW) is None
        assert await store.use(tx, TOKEN.secret_sha256, now=NOW) == TOKEN
        await store.set_node(tx, TOKEN.id, node_id=NODE.id)
