"""Logs outlive real containers: nothing that one writes up to its end is lost, whoever watches and whatever breaks."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.core.log_archive import LogArchive
from agent.core.logs import Logs
from agent.host.docker.engine import DockerEngine
from agent.host.log_archive import DiskLogArchive
from kit.clock import SystemClock
from kit.tasks import Tasks
from tests.fixtures.engine import ENGINE_SOCKET, SpecMaker
from tests.waiting import eventually
from wire.agent.logs import LogLine, LogQuery

_UNTIL_TERM = """
i=0
last() { n=0; while [ $n -lt 3000 ]; do echo "last $n"; n=$((n+1)); done; echo "end $i"; exit 0; }
trap last TERM
while :; do echo "$i"; i=$((i+1)); [ $((i % 100)) -gt 0 ] || sleep 0.02; done
"""


class Node:
    """Logs and their archive on the real engine, as the agent has them."""

    def __init__(self, engine: DockerEngine, folder: Path, make_spec: SpecMaker) -> None:
        self.engine = engine
        self.service = secrets.token_hex(4)
        self.files = DiskLogArchive(folder)
        self.archive = LogArchive(
            engine, self.files, clock=SystemClock(), most_seconds=3600, service_bytes=1 << 24, total_bytes=1 << 24
        )
        self.tasks = Tasks("test")
        self.logs = Logs(engine, archive=self.files, tasks=self.tasks, clock=SystemClock(), viewer_bytes=1 << 26)
        self._make_spec = make_spec
        self.tasks.start("events", self._carry())

    async def _carry(self) -> None:
        async for event in self.engine.watch_events():
            self.archive.note_event(event)
            self.logs.note_event(event)

    async def run(self, script: str) -> str:
        labels = (("moorage.replica", "r-1"), ("moorage.index", "0"), ("moorage.service", self.service))
        spec = self._make_spec(labels=labels, command=("sh", "-c", script), stop_seconds=20, restarts=False)
        id_ = await self.engine.create_container(spec)
        await self.engine.start_container(id_)
        return id_

    async def remove(self, container: str) -> None:
        """As the agent does it, at once one after the other."""
        await self.engine.stop_container(container, grace_seconds=20)
        await self.archive.keep(container)
        await self.engine.remove_container(container)

    async def read(self, **query: object) -> list[LogLine]:
        found: list[LogLine] = []
        async with aclosing(self.logs.read(LogQuery(service_id=self.service, **query))) as batches:  # type: ignore[arg-type]
            async for batch in batches:
                found += [record for record in batch.records if isinstance(record, LogLine)]
        return found

    def watch(self, found: list[LogLine]) -> asyncio.Task[None]:
        """Follow the log from its first line on into the list."""

        async def follow() -> None:
            query = LogQuery(service_id=self.service, follow=True, tail=1_000_000)
            async with aclosing(self.logs.read(query)) as batches:
                async for batch in batches:
                    assert not batch.dropped
                    found.extend(record for record in batch.records if isinstance(record, LogLine))

        return self.tasks.start("viewer", follow())


@pytest.fixture(params=["file", "api"])
async def node(
    request: pytest.FixtureRequest, engine_node_id: str, make_spec: SpecMaker, tmp_path: Path
) -> AsyncIterator[Node]:
    """With logs read from the engine's files, and by its API."""
    engine = DockerEngine(ENGINE_SOCKET, engine_node_id, clock=SystemClock(), log_by_file=request.param == "file")
    made = Node(engine, tmp_path / "logs", make_spec)
    yield made
    await made.tasks.close()
    await engine.close()


def expect_whole(texts: list[str]) -> None:
    """Everything that the script wrote, in order, once: it counts, and says at its end how far it came."""
    said = int(texts[-1].removeprefix("end "))
    count = texts.index("last 0")
    # The signal may come when a number is written and not counted yet.
    assert count in {said, said + 1}
    assert texts == [*map(str, range(count)), *(f"last {number}" for number in range(3000)), f"end {said}"]


async def test_a_container_that_writes_until_it_is_removed_loses_no_line(node: Node) -> None:
    container = await node.run(_UNTIL_TERM)
    seen: list[LogLine] = []
    node.watch(seen)
    await eventually(lambda: len(seen) > 1000, seconds=60)
    await node.remove(container)
    await eventually(lambda: bool(seen) and seen[-1].text.startswith("end "), seconds=60)
    kept = await node.read(tail=1_000_000)

    assert await node.engine.list_containers() == ()
    expect_whole([line.text for line in seen])
    assert kept == seen
    for _ in range(12):
        at = random.randrange(len(seen))
        assert await node.read(after=seen[at].id) == seen[at + 1 :]
    assert await node.read(tail=7) == seen[-7:]
    assert await node.read(since=seen[500].at) == [line for line in seen if line.at >= seen[500].at]


async def test_a_stream_goes_from_the_old_container_to_the_new_one_without_a_gap(node: Node) -> None:
    old = await node.run(_UNTIL_TERM)
    seen: list[LogLine] = []
    viewer = node.watch(seen)
    await eventually(lambda: len(seen) > 200, seconds=60)
    new = await node.run("echo new; sleep 600")
    await node.remove(old)
    await eventually(
        lambda: {"new"} < {line.text for line in seen} and any(line.text[:4] == "end " for line in seen), seconds=60
    )
    viewer.cancel()
    cut = len(seen) // 2
    resumed = await node.read(after=seen[cut].id)

    expect_whole([line.text for line in seen if line.text != "new"])
    assert sorted(line.text for line in [*seen[: cut + 1], *resumed]) == sorted(line.text for line in seen)
    await node.remove(new)
    assert node.archive.files == 2


async def test_an_agent_that_dies_between_archive_and_removal_does_both_again(
    node: Node, make_spec: SpecMaker, tmp_path: Path
) -> None:
    container = await node.run("seq 500")
    await eventually(lambda: _has_ended(node), seconds=60)
    await node.archive.keep(container)
    again = Node(node.engine, tmp_path / "logs", make_spec)
    again.service = node.service
    await again.files.open()
    both = [line.text for line in await again.read(tail=1000)]
    await again.remove(container)
    kept = [line.text for line in await again.read(tail=1000)]
    await again.tasks.close()

    assert both == kept == [str(number) for number in range(1, 501)]
    assert again.archive.files == 1


async def test_a_disk_that_is_full_stops_no_removal(
    real_engine: DockerEngine, make_spec: SpecMaker, small_disk: Path
) -> None:
    node = Node(real_engine, small_disk, make_spec)
    for size_kb in (60, 60, 60, 600):
        container = await node.run(f"head -c {size_kb * 750} /dev/urandom | base64 -w 0")
        await eventually(lambda: _has_ended(node), seconds=60)
        await node.remove(container)
        last = await node.read(tail=1_000_000)
        assert await node.engine.list_containers() == ()
        if size_kb == 60:
            assert len(last) >= 4
    await node.tasks.close()

    # The last one has room on no such disk; the others made way for it in vain.
    assert node.archive.files == 0
    assert node.archive.dropped >= 4


async def _has_ended(node: Node) -> bool:
    (container,) = await node.engine.list_containers()
    return container.exit_code is not None
