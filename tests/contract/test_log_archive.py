"""The archive in memory and the one on disk hold to the same promises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.core.ports_logs import LogArchiveFiles
from agent.host.log_archive import DiskLogArchive
from agent.model.log_archive import ArchivedLog
from agent.model.logs import Entry
from tests.fakes.log_archive import FakeLogArchive


@pytest.fixture(params=["memory", "disk"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> LogArchiveFiles:
    return FakeLogArchive() if request.param == "memory" else DiskLogArchive(tmp_path / "logs")


def make_entry(usec: int, text: str, *, container: str = "c0ffee00", nth: int = 0, stream: str = "stdout") -> Entry:
    return Entry(
        container=container,
        replica_id="r-1",
        replica_index=3,
        usec=usec,
        nth=nth,
        stream=stream,
        text=text,
        partial=text == "begun",
    )


async def keep(files: LogArchiveFiles, *frames: Sequence[Entry], subject: str = "s-1", kept_usec: int) -> ArchivedLog:
    draft = await files.begin(subject=subject, container=frames[0][0].container, replica_id="r-1", replica_index=3)
    for frame in frames:
        await draft.add(frame)
    log = await draft.commit(kept_usec=kept_usec)
    await draft.close()
    return log


async def read(files: LogArchiveFiles, log: ArchivedLog, *, from_usec: int = 0) -> list[Entry]:
    return [entry async for frame in files.read(log, from_usec=from_usec) for entry in frame]


async def test_what_was_committed_is_read_as_it_was(files: LogArchiveFiles) -> None:
    entries = [
        make_entry(5, "first"),
        make_entry(5, "begun", nth=1, stream="stderr"),
        make_entry(3, "back \N{REPLACEMENT CHARACTER} é"),
        make_entry(1_790_000_000_123_456, ""),
    ]
    log = await keep(files, entries[:2], entries[2:], kept_usec=1_790_000_000_200_000)

    assert await read(files, log) == entries
    assert (log.first_usec, log.last_usec, log.kept_usec) == (3, 1_790_000_000_123_456, 1_790_000_000_200_000)
    assert (log.subject, log.container, log.replica_id, log.replica_index) == ("s-1", "c0ffee00", "r-1", 3)
    assert log.size_bytes > 0
    assert files.list_of("s-1") == files.list_all() == (log,)
    assert files.list_of("s-2") == ()


async def test_entries_from_a_moment_on_are_all_read(files: LogArchiveFiles) -> None:
    frames = [[make_entry(second * 1000 + nth, f"{second}-{nth}") for nth in range(10)] for second in range(20)]
    log = await keep(files, *frames, kept_usec=1)

    wanted = [entry for frame in frames for entry in frame if entry.usec >= 7003]
    assert [entry for entry in await read(files, log, from_usec=7003) if entry.usec >= 7003] == wanted


@pytest.mark.parametrize("count", [0, 1, 3, 4, 11, 12, 50])
async def test_the_last_entries_are_read(files: LogArchiveFiles, count: int) -> None:
    entries = [make_entry(number, str(number)) for number in range(12)]
    log = await keep(files, entries[:5], entries[5:9], entries[9:], kept_usec=1)

    assert list(await files.read_tail(log, count)) == entries[max(0, 12 - count) :]


async def test_a_log_is_kept_behind_its_own_lines_and_later_ones_stand_behind(files: LogArchiveFiles) -> None:
    first = await keep(files, [make_entry(100, "a", container="aaaaaaaa")], kept_usec=5)
    second = await keep(files, [make_entry(50, "b", container="bbbbbbbb")], kept_usec=200)

    assert first.kept_usec == 101
    assert files.list_all() == (first, second)


async def test_a_container_that_is_archived_again_has_its_latest_log(files: LogArchiveFiles) -> None:
    await keep(files, [make_entry(1, "short")], kept_usec=10)
    again = await keep(files, [make_entry(1, "short"), make_entry(2, "longer")], kept_usec=20)

    assert files.list_all() == (again,)
    assert [entry.text for entry in await read(files, again)] == ["short", "longer"]


async def test_what_is_not_committed_never_shows(files: LogArchiveFiles) -> None:
    draft = await files.begin(subject="s-1", container="c0ffee00", replica_id="r-1", replica_index=3)
    await draft.add([make_entry(1, "a")])
    before = files.list_all()
    await draft.close()

    assert before == files.list_all() == ()


async def test_a_removed_log_has_no_lines(files: LogArchiveFiles) -> None:
    log = await keep(files, [make_entry(1, "a")], kept_usec=10)
    await files.remove(log)
    await files.remove(log)

    assert files.list_all() == ()
    assert await read(files, log) == []
    assert list(await files.read_tail(log, 5)) == []
