"""Archived logs on disk: whole or not at all, in a form that stock tools read, within the room there is."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.faults import ArchiveFull, ArchiveNotWritten
from agent.host.log_archive import DiskLogArchive
from tests.contract.test_log_archive import keep, make_entry, read

ROOT = Path(__file__).parents[3]


async def reopen(folder: Path) -> DiskLogArchive:
    archive = DiskLogArchive(folder)
    await archive.open()
    return archive


async def test_another_agent_finds_what_was_archived(tmp_path: Path) -> None:
    entries = [make_entry(1_790_000_000_000_000 + number, f"line {number}") for number in range(1000)]
    log = await keep(DiskLogArchive(tmp_path), entries[:500], entries[500:], kept_usec=1_790_000_001_000_000)
    again = await reopen(tmp_path)

    assert again.list_all() == (log,)
    assert await read(again, log) == entries


async def test_stock_zstd_shows_the_lines(tmp_path: Path) -> None:
    await keep(DiskLogArchive(tmp_path), [make_entry(0, "one")], [make_entry(1_500_000, "two")], kept_usec=9)
    path = tmp_path / "s-1" / "c0ffee00.jsonl.zst"
    zstd = await asyncio.create_subprocess_exec("zstd", "-dc", path, stdout=subprocess.PIPE)
    shown, _ = await zstd.communicate()

    assert zstd.returncode == 0
    assert [json.loads(line) for line in shown.splitlines()] == [
        {"at": "1970-01-01T00:00:00Z", "stream": "stdout", "text": "one"},
        {"at": "1970-01-01T00:00:01.500000Z", "stream": "stdout", "text": "two"},
    ]


async def test_an_agent_killed_midway_leaves_nothing_that_shows(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from agent.host.log_archive import DiskLogArchive
from tests.contract.test_log_archive import keep, make_entry

async def main():
    archive = DiskLogArchive(Path(sys.argv[1]))
    await keep(archive, [make_entry(1, "whole", container="aaaaaaaa")], kept_usec=10)
    draft = await archive.begin(subject="s-1", container="bbbbbbbb", replica_id="r-1", replica_index=3)
    await draft.add([make_entry(2, "half", container="bbbbbbbb")])
    print("midway", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=subprocess.PIPE, cwd=ROOT
    )
    assert agent.stdout is not None
    assert await agent.stdout.readline() == b"midway\n"
    agent.kill()
    await agent.wait()
    left = sorted(path.name for path in (tmp_path / "s-1").iterdir())
    archive = await reopen(tmp_path)

    assert len(left) == 2
    assert [log.container for log in archive.list_all()] == ["aaaaaaaa"]
    assert [path.name for path in (tmp_path / "s-1").iterdir()] == ["aaaaaaaa.jsonl.zst"]


async def test_a_file_that_is_no_archive_is_told_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = await keep(DiskLogArchive(tmp_path), [make_entry(1, "a")], kept_usec=10)
    (tmp_path / "s-1" / "deadbeef.jsonl.zst").write_bytes(b"not an archive, and longer than its end would be")
    (tmp_path / "s-1" / "deadbee1.jsonl.zst").write_bytes(b"")
    (tmp_path / "s-1" / "deadbee2.jsonl.zst").write_bytes(b"no index" + struct.pack("<I8s", 8, b"moorlog1"))
    archive = await reopen(tmp_path)

    assert archive.list_all() == (log,)
    assert caplog.text.count("archived log not read") == 3


async def test_a_damaged_part_is_told_and_the_rest_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archive = DiskLogArchive(tmp_path)
    log = await keep(archive, *([make_entry(number, "x" * 100 + str(number))] for number in range(3)), kept_usec=10)
    path = tmp_path / "s-1" / "c0ffee00.jsonl.zst"
    data = bytearray(path.read_bytes())
    data[data.index(b"\x28\xb5\x2f\xfd", 1) + 20] ^= 0xFF
    path.write_bytes(data)

    assert [entry.usec for entry in await read(archive, log)] == [0, 2]
    assert [entry.usec for entry in await archive.read_tail(log, 2)] == [2]
    assert caplog.text.count("part of an archived log not read") == 2


async def test_a_full_disk_takes_nothing_half_and_takes_the_rest_once_there_is_room(small_disk: Path) -> None:
    archive = DiskLogArchive(small_disk)
    frames = [[make_entry(number, os.urandom(50_000).hex(), container="bbbbbbbb")] for number in range(3)]
    old = await keep(archive, [make_entry(1, os.urandom(50_000).hex(), container="aaaaaaaa")], kept_usec=10)
    draft = await archive.begin(subject="s-1", container="bbbbbbbb", replica_id="r-1", replica_index=3)
    await draft.add(frames[0])
    await draft.add(frames[1])
    await draft.add(frames[2])
    await draft.add(frames[2])
    with pytest.raises(ArchiveFull):
        await draft.add(frames[2])
    await archive.remove(old)
    await draft.add(frames[2])
    log = await draft.commit(kept_usec=20)
    await draft.close()

    assert archive.list_all() == (log,)
    assert (await read(await reopen(small_disk), log))[:3] == [entry for frame in frames for entry in frame]


async def test_a_log_that_the_disk_keeps_is_told_and_counts_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = DiskLogArchive(tmp_path)
    log = await keep(archive, [make_entry(1, "a")], kept_usec=10)
    path = tmp_path / "s-1" / "c0ffee00.jsonl.zst"
    path.unlink()
    path.mkdir()
    await archive.remove(log)

    assert archive.list_all() == ()
    assert "archived log not removed" in caplog.text


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "s-1").write_text("in the way")
    with pytest.raises(ArchiveNotWritten, match="s-1"):
        await DiskLogArchive(tmp_path).begin(subject="s-1", container="c0ffee00", replica_id="r-1", replica_index=3)
