"""An operator asks for lines of a log, follows it without loss, and keeps it in a file, from the command line."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
import zstandard

from client.__main__ import main
from client.api import Api
from client.faults import Refused, Unreachable
from client.logs import LogWords, export_logs, follow_on, show_logs
from kit.http.sse_parse import Event
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from tests.fakes.agents import FakeLog

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
async def ground(app: App) -> Ground:
    """A service that has said 300 lines, a second apart, each third of them an error."""
    made = await make_ground(app)
    await made.make_healthy(await made.deploy())
    log = app.agents.logs[made.nodes[0]] = FakeLog()
    for number in range(300):
        log.write(text(number), at=NOW + dt.timedelta(seconds=number), index=number % 2)
    return made


def text(number: int) -> str:
    return f"{'ERROR' if number % 3 == 0 else 'info'} {number}"


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (LogWords(), range(100, 300)),
        (LogWords(tail=2), range(298, 300)),
        (LogWords(grep="error", ignore_case=True, tail=2), [294, 297]),
        (LogWords(grep_regex="^info 29[78]$"), [298]),
        (LogWords(replica=("1",), tail=2), [297, 299]),
        (LogWords(since="2026-01-01T00:00:10Z"), range(10, 300)),
        (LogWords(since="2026-01-01T00:00:10Z", until="2026-01-01T00:00:12Z"), range(10, 12)),
    ],
)
async def test_the_lines_that_are_asked_for_are_printed(
    ground: Ground, config: Path, capfdbinary: pytest.CaptureFixture[bytes], words: LogWords, numbers: Sequence[int]
) -> None:
    await show_logs(config, ground.service.name, words, follow=False)
    assert capfdbinary.readouterr().out.decode().splitlines() == [text(number) for number in numbers]


async def test_stamps_are_printed_when_asked_for(
    ground: Ground, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await show_logs(config, ground.service.name, LogWords(tail=1, timestamps=True), follow=False)
    assert capsys.readouterr().out == "2026-01-01T00:04:59.000000Z info 299\n"


async def test_a_log_is_followed_until_its_moment_and_what_is_missing_is_said_apart(
    ground: Ground, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.app.agents.logs[ground.nodes[0]].drop(7)
    words = LogWords(since="2026-01-01T00:04:58Z", until="2026-01-01T01:00:00Z")
    await show_logs(config, ground.service.name, words, follow=True)
    assert capsys.readouterr().out.splitlines() == [text(298), text(299)]
    ground.app.agents.offline.add(ground.nodes[0])
    await show_logs(config, ground.service.name, words, follow=True)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("-- ")


class Breaking(Api):
    """A client whose streams break after so many events each."""

    each = 7
    opened = 0

    async def follow_logs(
        self, service_id: str, *, query: Sequence[tuple[str, str]] = (), after: str | None = None
    ) -> AsyncIterator[Event]:
        self.opened += 1
        told = 0
        async for event in super().follow_logs(service_id, query=query, after=after):
            yield event
            told += 1
            if told == self.each:
                raise Unreachable("cannot read: the connection broke")


async def test_a_stream_that_breaks_goes_on_behind_its_last_line(
    ground: Ground, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.logs._AGAIN_SECONDS", (0.0,))
    login = msgspec.json.decode(await asyncio.to_thread(config.read_bytes), type=dict[str, str])
    words = LogWords(since="2026-01-01T00:00:00Z", until="2026-01-01T01:00:00Z", grep="ERROR")
    async with Breaking(login["url"], token=login["token"]) as api:
        events = [event async for event in follow_on(api, ground.service.id, words)]
        assert [event.data for event in events[:-1]] == [text(number) for number in range(0, 300, 3)]
        assert events[-1].event == "end"
        assert api.opened > 10
    async with Breaking(login["url"], token="moor_wrong") as stranger:
        with pytest.raises(Refused):
            await anext(follow_on(stranger, ground.service.id, words))


@pytest.mark.parametrize("name", ["web.log", "web.ndjson", "web.log.zst", "web.jsonl.zst"])
async def test_a_log_is_kept_in_a_file(ground: Ground, config: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    await export_logs(config, ground.service.name, LogWords(grep="ERROR"), file=file, partial=False)
    content = await asyncio.to_thread(file.read_bytes)
    if name.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    lines = content.decode().splitlines()
    if "json" in name:
        lines = [msgspec.json.decode(line)["text"] for line in lines]
    assert lines == [text(number) for number in range(0, 300, 3)]
    assert await asyncio.to_thread(exported, tmp_path) == [name]


def exported(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.startswith("web")]


async def test_a_log_that_cannot_be_whole_leaves_no_file(ground: Ground, config: Path, tmp_path: Path) -> None:
    ground.app.agents.logs[ground.nodes[0]].break_at(299)
    with pytest.raises((Refused, Unreachable)):
        await export_logs(config, ground.service.name, LogWords(), file=tmp_path / "web.log", partial=False)
    assert await asyncio.to_thread(exported, tmp_path) == []


async def test_the_command_takes_the_words(
    ground: Ground, config: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ["--config", str(config), "logs", ground.service.name, "--grep", "error", "-i", "--tail", "1"]
    assert await asyncio.to_thread(main, [*arguments, "--replica", "1", "--replica", "0", "--timestamps"]) == 0
    assert capfdbinary.readouterr().out == b"2026-01-01T00:04:57.000000Z ERROR 297\n"
    assert await asyncio.to_thread(main, [*arguments, "--since", "soon"]) == 1
    assert b"since is neither a moment" in capfdbinary.readouterr().err
