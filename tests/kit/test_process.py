"""A process reads of itself what the kernel tells, and nothing where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kit.exposition import render_exposition
from kit.process import ProcessReading, fetch_process, read_process, tell_process
from tests.lint_exposition import read_exposition


def test_children_files_and_memory_of_this_process_are_counted() -> None:
    before = read_process(Path("/proc/self"))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        with Path(os.devnull).open() as _:
            during = read_process(Path("/proc/self"))
    finally:
        child.communicate()
    for reading in (before, during):
        assert None not in (reading.cpu_seconds, reading.resident_bytes, reading.threads, reading.started_at)
    assert before.children is not None
    assert before.open_files is not None
    assert during.children == before.children + 1
    assert during.open_files == before.open_files + 2  # the child's standard input, and the file
    assert during.started_at == before.started_at


async def test_what_the_kernel_does_not_tell_is_unknown_and_left_out(tmp_path: Path) -> None:
    reading = await fetch_process(tmp_path)
    assert reading == ProcessReading(most_open_files=reading.most_open_files)
    told = read_exposition(render_exposition(tell_process("moorage_test", reading, version="1.2")).decode())
    assert set(told) <= {"moorage_test_build_info", "moorage_test_process_max_fds"}
    assert told["moorage_test_build_info"].samples[0].labels["version"] == "1.2"


def test_a_name_with_spaces_and_brackets_shifts_no_field(tmp_path: Path) -> None:
    folder = tmp_path / "self"
    folder.mkdir()
    fields = ["S", "1", *["0"] * 9, "150", "50", "0", "0", "20", "0", "7", "0", "300", "0", "11", "0"]
    (folder / "stat").write_text(f"42 (odd) name (x) {' '.join(fields)}\n")
    (tmp_path / "stat").write_text("cpu 1 2 3\nbtime 1000\n")
    reading = read_process(folder)
    assert (reading.cpu_seconds, reading.threads, reading.started_at) == (2.0, 7, 1003.0)
    assert reading.resident_bytes == 11 * os.sysconf("SC_PAGE_SIZE")
