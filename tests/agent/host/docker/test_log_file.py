"""A json-file log on disk: nothing is missed or read twice, however it is rotated meanwhile."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.host.docker.log_file import LogFile, finish_in_thread
from agent.host.inotify import FileGrowth, Inotify
from agent.model.engine import EPOCH
from agent.rules.log_records import LogRecords

FILES = 3


class Writer:
    """Writes a log and rotates it as the engine does; a record's text is its number, its stamp as many milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "c-json.log"
        self.count = 0
        self._file = self.path.open("wb", buffering=0)

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            at = EPOCH + dt.timedelta(hours=1, milliseconds=self.count)
            said = {"log": f"{self.count}\n", "stream": "stdout", "time": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"}
            self._file.write(json.dumps(said).encode() + b"\n")
            self.count += 1

    def rotate(self) -> None:
        self._file.close()
        for number in reversed(range(1, FILES)):
            older = Path(f"{self.path}.{number - 1}") if number > 1 else self.path
            if older.exists():
                older.rename(f"{self.path}.{number}")
        self._file = self.path.open("wb", buffering=0)

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path)
    yield made
    made.close()


async def read_on(file: LogFile, *, since_usec: int = 0) -> list[int]:
    records, found = LogRecords(since_usec=since_usec), list[int]()
    while data := await file.read():
        found += [int(line.text) for line in records.feed(data)]
    return found


async def test_all_files_are_read_from_the_oldest_record_to_the_newest(writer: Writer) -> None:
    for _ in range(4):
        writer.write(50)
        writer.rotate()
    writer.write(50)
    with LogFile(writer.path, files=FILES) as file:
        assert await read_on(file) == list(range(100, 250))
        assert await read_on(file) == []
        writer.write()
        assert await read_on(file) == [250]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["write", "burst", "rotate", "read"]), max_size=25), st.integers(0, 2**32))
def test_whatever_is_written_and_rotated_is_read_once_while_it_is_kept(steps: list[str], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_read_through(steps, random.Random(seed), folder=Path(folder)))


async def _read_through(steps: list[str], choose: random.Random, *, folder: Path) -> None:
    writer = Writer(folder)
    found: list[int] = []
    unread_files = 0
    with LogFile(writer.path, files=FILES) as file:
        for step in steps:
            match step:
                case "write":
                    writer.write()
                case "burst":
                    writer.write(choose.randrange(3000))
                case "rotate" if unread_files < FILES - 1:
                    writer.rotate()
                    unread_files += 1
                case "read":
                    found += await read_on(file)
                    unread_files = 0
                case _:
                    pass
        found += await read_on(file)
    writer.close()
    assert found == list(range(writer.count))


async def test_files_that_are_rotated_away_before_they_are_reached_are_read_all_the_same(writer: Writer) -> None:
    records, found = LogRecords(), list[int]()
    writer.write(50_000)
    with LogFile(writer.path, files=FILES) as file:
        for _ in range(2 * FILES):
            writer.rotate()
            writer.write(10)
            for _ in range(4):  # a part of what was there in the beginning
                found += [int(line.text) for line in records.feed(await file.read())]
        assert found[-1] < 50_000
        while data := await file.read():
            found += [int(line.text) for line in records.feed(data)]
    assert found == list(range(writer.count))


async def test_a_file_that_is_removed_is_read_to_its_end(writer: Writer) -> None:
    writer.write(5)
    with LogFile(writer.path, files=FILES) as file:
        writer.path.unlink()
        assert await read_on(file) == list(range(5))
        assert file.is_moving


async def test_a_file_that_is_cut_back_is_read_from_its_beginning(writer: Writer) -> None:
    writer.write(20)
    with LogFile(writer.path, files=FILES) as file:
        await read_on(file)
        os.truncate(writer.path, 0)
        writer._file.seek(0)
        writer.write(2)
        assert await read_on(file) == [20, 21]


@pytest.mark.parametrize("wanted", [0, 1, 7, 50, 3_000, 9_000, 99_999])
async def test_the_last_records_are_found_over_all_files(writer: Writer, wanted: int) -> None:
    writer.write(5_000)
    writer.rotate()
    writer.write(2_000)
    writer.rotate()
    writer.write(30)
    with LogFile(writer.path, files=FILES) as file:
        file.seek_tail(wanted)
        assert await read_on(file) == list(range(max(0, 7_030 - wanted), 7_030))


@pytest.mark.parametrize("since", [0, 1, 2_500, 5_000, 5_001, 9_999, 12_029, 50_000])
async def test_records_from_a_moment_on_are_found_over_all_files(writer: Writer, since: int) -> None:
    writer.write(5_000)
    writer.rotate()
    writer.write(7_000)
    writer.rotate()
    writer.write(30)
    usec = 3_600_000_000 + since * 1000
    with LogFile(writer.path, files=FILES) as file:
        file.seek_since(usec)
        assert await read_on(file, since_usec=usec) == list(range(min(since, 12_030), 12_030))


async def test_most_of_a_long_log_is_not_read_to_find_a_moment(writer: Writer) -> None:
    writer.write(60_000)
    with LogFile(writer.path, files=FILES) as file:
        file.seek_since(3_600_000_000 + 55_000_000)
        found = await read_on(file)
    assert 45_000 < found[0] <= 55_000


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/etc/hostname"), lambda path: None])
async def test_what_is_no_plain_file_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "log")
    before = count_descriptors()
    with pytest.raises(OSError):  # noqa: PT011 # which one is the system's affair
        LogFile(tmp_path / "log", files=FILES)
    assert count_descriptors() == before


async def test_whoever_waits_is_told_of_growth_and_of_a_rotation_and_of_nothing_after(writer: Writer) -> None:
    before = count_descriptors()
    told = asyncio.Event()
    inotify = Inotify()
    with LogFile(writer.path, files=FILES) as file, FileGrowth(inotify, told.set) as growth:
        assert growth.aim(file.descriptor)
        assert not growth.aim(file.descriptor)
        for act in (writer.write, writer.rotate):
            told.clear()
            act()
            async with asyncio.timeout(20):
                await told.wait()
        assert not growth.is_blind
    assert count_descriptors() == before


async def test_what_nobody_waits_for_any_more_is_undone() -> None:
    started, go, undone = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> str:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        return "made"

    waiting = asyncio.ensure_future(finish_in_thread(work, undo=lambda _: undone.set()))
    async with asyncio.timeout(20):
        await started.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        go.set()
        await undone.wait()
    assert waiting.cancelled()


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
