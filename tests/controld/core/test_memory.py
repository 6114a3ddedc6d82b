"""What is remembered is true."""

from __future__ import annotations

import asyncio

from controld.core.memory import Memory
from controld.model.change import EVERYTHING, Change
from controld.store.feed import Feed


class _Source:
    def __init__(self) -> None:
        self.values = {"a": 1, "b": 2, "c": 3}
        self.loads: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, key: str) -> int | None:
        self.loads.append(key)
        value = self.values.get(key)
        await self.gate.wait()
        return value


async def test_a_thing_is_loaded_once_until_it_changes() -> None:
    feed, source = Feed("test"), _Source()
    memory: Memory[int] = Memory("thing", source.load, feed=feed)
    assert [await memory.get("a"), await memory.get("a"), await memory.get("b")] == [1, 1, 2]
    source.values["a"] = 10
    feed.publish([Change("other", "a")])
    assert await memory.get("a") == 1
    feed.publish([Change("thing", "a")])
    assert [await memory.get("a"), await memory.get("b")] == [10, 2]
    assert source.loads == ["a", "b", "a"]
    feed.publish([EVERYTHING])
    assert len(memory) == 0


async def test_what_changed_while_it_was_loaded_is_not_kept() -> None:
    feed, source = Feed("test"), _Source()
    memory: Memory[int] = Memory("thing", source.load, feed=feed)
    source.gate.clear()
    loading = asyncio.gather(memory.get("a"), memory.get("b"))
    await asyncio.sleep(0)
    source.values["a"] = 10
    feed.publish([Change("thing", "a")])
    source.gate.set()
    assert list(await loading) == [1, 2]
    assert await memory.get("a") == 10


async def test_nothing_is_trusted_while_the_feed_is_not_live() -> None:
    feed, source = Feed("test"), _Source()
    memory: Memory[int] = Memory("thing", source.load, feed=feed)
    await memory.get("a")
    feed.is_live = False
    await memory.get("a")
    assert source.loads == ["a", "a"]


async def test_it_is_bounded_and_forgets_the_oldest() -> None:
    feed, source = Feed("test"), _Source()
    memory: Memory[int] = Memory("thing", source.load, feed=feed, limit=2)
    for key in ("a", "b", "c", "a", "missing", "missing"):
        await memory.get(key)
    assert source.loads == ["a", "b", "c", "a", "missing", "missing"]
    assert len(memory) == 2
