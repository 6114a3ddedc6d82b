"""Logs of real containers: bytes as they are, lines of any length, and connections that end with their reader."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.core.faults import ContainerGone
from agent.host.docker.engine import DockerEngine
from agent.model.engine import RawLine
from tests.fixtures.engine import SpecMaker


async def run(engine: DockerEngine, make_spec: SpecMaker, script: str) -> str:
    id_ = await engine.create_container(make_spec(command=("sh", "-c", script)))
    await engine.start_container(id_)
    return id_


async def follow(engine: DockerEngine, id_: str, *, until: bytes) -> list[RawLine]:
    lines = []
    async with asyncio.timeout(60):
        async for line in engine.read_log(id_, tail=None, since=None, follow=True):
            lines.append(line)
            if line.text.endswith(until):
                break
    return lines


async def test_nul_invalid_utf8_and_both_streams_arrive_as_written(
    real_engine: DockerEngine, make_spec: SpecMaker
) -> None:
    id_ = await run(
        real_engine, make_spec, r"printf 'a\000b\n'; sleep 0.1; printf '\303(\n' >&2; sleep 0.1; echo end; sleep 600"
    )
    lines = await follow(real_engine, id_, until=b"end")
    assert [(line.stream, line.text) for line in lines] == [
        ("stdout", b"a\x00b"),
        ("stderr", "\N{REPLACEMENT CHARACTER}(".encode()),
        ("stdout", b"end"),
    ]


async def test_a_line_of_ten_megabytes_arrives_whole_in_pieces(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await run(real_engine, make_spec, "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo end; sleep 600")
    lines = await follow(real_engine, id_, until=b"end")
    assert all(line.partial and len(line.text) == 16384 for line in lines[:-2])
    assert not lines[-2].partial
    assert b"".join(line.text for line in lines[:-1]) == b"x" * 10_000_000


async def test_leaving_a_followed_log_closes_its_connection(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await run(real_engine, make_spec, "echo one; sleep 600")
    await real_engine.list_containers()
    before = count_descriptors()
    logs = [real_engine.read_log(id_, tail=None, since=None, follow=True) for _ in range(10)]
    for log in logs:
        assert (await anext(log)).text == b"one"
    during = count_descriptors()
    waiting = asyncio.ensure_future(anext(logs[0]))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    for log in logs:
        await log.aclose()
    await asyncio.sleep(0.05)
    assert during >= before + 9
    assert count_descriptors() <= before


async def test_a_follower_ends_when_its_container_is_removed(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await run(real_engine, make_spec, "echo one; sleep 600")
    log = real_engine.read_log(id_, tail=None, since=None, follow=True)
    assert (await anext(log)).text == b"one"
    await real_engine.remove_container(id_)
    async with asyncio.timeout(20):
        assert [line async for line in log] == []
    with pytest.raises(ContainerGone, match=id_[:12]):
        await anext(real_engine.read_log(id_, tail=None, since=None, follow=True))


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
