"""Logs of real containers: bytes as they are, lines of any length, and connections that end with their reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.core.faults import ContainerGone
from agent.core.log_reader import LogReader, Source
from agent.host.docker.engine import DockerEngine
from agent.model.engine import LoggedLine
from agent.model.logs import Entry
from kit.clock import SystemClock
from tests.fixtures.engine import ENGINE_SOCKET, SpecMaker, each_line
from tests.waiting import eventually


@pytest.fixture(params=["file", "api"])
async def engine(request: pytest.FixtureRequest, engine_node_id: str) -> AsyncIterator[DockerEngine]:
    """The adapter, which reads logs from the engine's files, or by its API alone."""
    made = make_engine(engine_node_id, log_by_file=request.param == "file")
    yield made
    await made.close()


def make_engine(node_id: str, *, log_by_file: bool, log_max_bytes: int = 20 << 20) -> DockerEngine:
    return DockerEngine(
        ENGINE_SOCKET, node_id, clock=SystemClock(), log_by_file=log_by_file, log_max_bytes=log_max_bytes
    )


async def run(engine: DockerEngine, make_spec: SpecMaker, script: str, *, restarts: bool = True) -> str:
    id_ = await engine.create_container(make_spec(command=("sh", "-c", script), restarts=restarts))
    await engine.start_container(id_)
    return id_


async def follow(engine: DockerEngine, id_: str, *, until: str) -> list[LoggedLine]:
    lines = []
    async with asyncio.timeout(60):
        async with aclosing(each_line(engine.read_log(id_, tail=None, since=None, follow=True))) as log:
            async for line in log:
                lines.append(line)
                if line.text.endswith(until):
                    break
    return lines


async def test_nul_invalid_utf8_and_both_streams_arrive_as_written(engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await run(
        engine, make_spec, r"printf 'a\000b\n'; sleep 0.1; printf '\303(\n' >&2; sleep 0.1; echo end; sleep 600"
    )
    lines = await follow(engine, id_, until="end")
    assert [(line.stream, line.text) for line in lines] == [
        ("stdout", "a\N{REPLACEMENT CHARACTER}b"),
        ("stderr", "\N{REPLACEMENT CHARACTER}("),
        ("stdout", "end"),
    ]


async def test_a_line_of_ten_megabytes_arrives_whole_in_pieces(engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await run(engine, make_spec, "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end; sleep 600")
    lines = await follow(engine, id_, until="end")
    assert all(line.partial and len(line.text) == 16384 for line in lines[:-2])
    assert not lines[-2].partial
    assert "".join(line.text for line in lines[:-1]) == "x" * 10_000_000


async def test_every_line_of_a_log_that_is_rotated_meanwhile_arrives_once(
    engine_node_id: str, make_spec: SpecMaker
) -> None:
    engine = make_engine(engine_node_id, log_by_file=True, log_max_bytes=512 * 1024)
    id_ = await run(engine, make_spec, "for i in $(seq 17000); do echo $i; done; echo end; sleep 600")
    lines = await follow(engine, id_, until="end")
    await engine.close()
    assert [line.text for line in lines[:-1]] == [str(number) for number in range(1, 17001)]


async def test_a_follower_ends_with_the_last_that_the_container_wrote(
    real_engine: DockerEngine, make_spec: SpecMaker
) -> None:
    script = "trap 'echo asked; printf last; exit' TERM; echo one; while :; do sleep 0.1; done"
    id_ = await run(real_engine, make_spec, script)
    log = each_line(real_engine.read_log(id_, tail=None, since=None, follow=True))
    async with asyncio.timeout(60), aclosing(log):
        first = await anext(log)
        await real_engine.stop_container(id_, grace_seconds=20)
        rest = [line.text async for line in log]
    assert [first.text, *rest] == ["one", "asked", "last"]


async def test_a_place_in_the_log_means_the_same_by_file_and_by_api(
    real_engine: DockerEngine, make_spec: SpecMaker, engine_node_id: str
) -> None:
    by_api = make_engine(engine_node_id, log_by_file=False)
    script = (
        "for i in $(seq 300); do echo $i; echo e$i >&2; done; head -c 40000 /dev/zero | tr '\\0' x; echo; "
        r"printf 'a\r\nb\rc\n\n\303\251\377\n'; printf begun"
    )
    id_ = await run(real_engine, make_spec, script, restarts=False)
    source = Source(container_id=id_, key=id_[:8], replica_id="r-1", replica_index=None, subject="s-1", is_alive=True)
    readers = LogReader(real_engine), LogReader(by_api)
    async with asyncio.timeout(60):
        known = await gather(readers[0].read_behind(source, None, follow=True))

    assert len(known) == 300 * 2 + 3 + 5
    for number in [-1, *range(0, len(known), 41)]:
        place = None if number < 0 else known[number].position
        assert [await gather(each.read_behind(source, place)) for each in readers] == [known[number + 1 :]] * 2
    assert [await each.read_tail(source, 50) for each in readers] == [known[-51:]] * 2
    await by_api.close()


async def gather(log: AsyncGenerator[Sequence[Entry]]) -> list[Entry]:
    return [entry async for batch in log for entry in batch]


async def test_leaving_a_followed_log_closes_its_connection(engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await run(engine, make_spec, "echo one; sleep 600")
    await engine.list_containers()
    before = count_descriptors()
    logs = [each_line(engine.read_log(id_, tail=None, since=None, follow=True)) for _ in range(10)]
    for log in logs:
        assert (await anext(log)).text == "one"
    during = count_descriptors()
    waiting = asyncio.ensure_future(anext(logs[0]))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    for log in logs:
        await log.aclose()
    assert during >= before + 9
    await eventually(lambda: count_descriptors() <= before)


async def test_a_follower_ends_when_its_container_is_removed(engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await run(engine, make_spec, "echo one; sleep 600")
    log = each_line(engine.read_log(id_, tail=None, since=None, follow=True))
    assert (await anext(log)).text == "one"
    await engine.remove_container(id_)
    async with asyncio.timeout(20):
        assert [line async for line in log] == []
    with pytest.raises(ContainerGone, match=id_[:12]):
        await anext(engine.read_log(id_, tail=None, since=None, follow=True))


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
