"""Transcripts on disk: private, capped, gone on with, and never in the way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from controld.core.faults import TranscriptNotFound
from controld.store.transcript_files import TranscriptFiles
from tests.controld.consoles import make_console
from tests.fakes.clock import FakeClock
from tests.waiting import eventually

CONSOLE = make_console("00000000-0000-7000-8000-000000000001")


def files(folder: Path, clock: FakeClock, *, max_bytes: int = 100_000) -> TranscriptFiles:
    return TranscriptFiles(folder / "transcripts", max_bytes=max_bytes, clock=clock)


async def read(made: TranscriptFiles) -> list[Any]:
    data = b"".join([piece async for piece in made.read(CONSOLE.id)])
    return [json.loads(line) for line in data.splitlines()]


async def test_what_is_shown_is_on_disk_a_second_later_for_the_owner_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    made = files(tmp_path, clock)
    writer = made.open(CONSOLE)
    writer.note_output(b"hello")
    await clock.advance(1.1)
    await eventually(lambda: asyncio.to_thread(made.path_of(CONSOLE.id).exists))
    size = await writer.close()
    assert size == made.path_of(CONSOLE.id).stat().st_size
    assert made.path_of(CONSOLE.id).stat().st_mode & 0o777 == 0o600
    assert made.path_of(CONSOLE.id).parent.stat().st_mode & 0o777 == 0o700
    assert (await read(made))[1:] == [[0.0, "o", "hello"]]


async def test_a_console_that_is_come_back_to_goes_on_in_its_transcript(tmp_path: Path) -> None:
    clock = FakeClock()
    made = files(tmp_path, clock)
    for text in (b"one", b"two"):
        writer = made.open(CONSOLE)
        writer.note_output(text)
        await writer.close()
        await clock.advance(5)
    header, *events = await read(made)
    assert header["timestamp"] == int(CONSOLE.started_at.timestamp())
    assert events == [[0.0, "o", "one"], [5.0, "o", "two"]]


async def test_a_transcript_is_no_longer_than_it_may_be_and_says_so(tmp_path: Path) -> None:
    made = files(tmp_path, FakeClock(), max_bytes=4096)
    writer = made.open(CONSOLE)
    for _ in range(100):
        writer.note_output(b"x" * 100)
    size = await writer.close()
    assert 3500 < size < 4096 + 200
    assert (await read(made))[-1][1:] == ["m", "the transcript is as long as it may be"]


async def test_what_comes_faster_than_it_is_written_is_left_out_and_counted(tmp_path: Path) -> None:
    clock = FakeClock()
    made = files(tmp_path, clock, max_bytes=10_000_000)
    writer = made.open(CONSOLE)
    for _ in range(40):
        writer.note_output(b"x" * 65_536)
    await clock.advance(1.1)
    await eventually(lambda: asyncio.to_thread(made.path_of(CONSOLE.id).exists))
    writer.note_output(b"later")
    await writer.close()
    events = (await read(made))[1:]
    kept = sum(len(text) for _, kind, text in events if kind == "o") - len("later")
    assert events[-2][1:] == ["m", f"{40 * 65_536 - kept} bytes left out"]
    assert events[-1][1:] == ["o", "later"]
    assert kept < 2 * 1024 * 1024


async def test_a_disk_that_takes_nothing_ends_the_transcript_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "transcripts").write_text("in the way")
    made = files(tmp_path, FakeClock())
    writer = made.open(CONSOLE)
    writer.note_output(b"hello")
    assert await writer.close() == 0


async def test_a_transcript_that_is_not_there_is_told(tmp_path: Path) -> None:
    made = files(tmp_path, FakeClock())
    with pytest.raises(TranscriptNotFound):
        await anext(made.read(CONSOLE.id))
    await made.remove(CONSOLE.id)
