"""What is read of a process is what the kernel says of it."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from benchmarks.soak.readings import read_process


def test_open_files_threads_and_children_are_counted(tmp_path: Path) -> None:
    before = read_process(os.getpid(), gauges={})
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    with (tmp_path / "file").open("w"), subprocess.Popen(["sleep", "60"]) as child:
        thread.start()
        try:
            now = read_process(os.getpid(), gauges={"tasks": 3})
        finally:
            over.set()
            thread.join()
            child.kill()
    assert (now.files, now.threads, now.children) == (before.files + 1, before.threads + 1, before.children + 1)
    assert now.rss_bytes > 1e6
    assert now.gauges == {"tasks": 3}


def test_a_daemon_that_is_down_is_no_process() -> None:
    with pytest.raises(psutil.NoSuchProcess):
        read_process(0, gauges={})
