"""Unpacking into a directory: what arrives there, and that nothing stays after a failure."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.archive import faults
from kit.archive.extract import extract
from kit.archive.limits import Limits
from kit.archive.scan import Scanner
from kit.faults import Fault
from tests.kit.archive.build import END, directory, file, gnu_long_name, header, tarfile_bytes, zst
from tests.kit.archive.traps import TRAPS, WHOLE


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def nothing_left_open() -> Iterator[None]:
    """Descriptors and threads are as many after the work as before it."""
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())), threading.active_count()
    yield
    assert (len(list(descriptors.iterdir())), threading.active_count()) == before


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_directories_arrive_with_plain_modes(tmp_path: Path) -> None:
    data = zst(
        directory(b"./")
        + directory(b"d/")
        + file(b"d/a", b"hello", mode=0o600)
        + file(b"d/run", b"#!", mode=0o6711)
        + file(b"deep/er/still", b"x" * 3_000_000)
        + gnu_long_name(b"n" * 200 + b"/" + b"m" * 200)
        + file(b"short")
        + END
    )
    into = tmp_path / "into"
    with umask(0o077), nothing_left_open():
        summary = extract(io.BytesIO(data), into)
    scanner = Scanner()
    scanner.feed(data)
    assert summary == scanner.finish()
    assert (into / "d/a").read_bytes() == b"hello"
    assert (into / "deep/er/still").read_bytes() == b"x" * 3_000_000
    assert (into / ("n" * 200) / ("m" * 200)).read_bytes() == b""
    assert [mode(into / name) for name in ("d", "deep/er", "d/a", "d/run")] == [0o755, 0o755, 0o644, 0o755]
    assert mode(into) == 0o755


@settings(max_examples=25, deadline=None)
@given(
    tree=st.dictionaries(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), st.binary(max_size=2000), max_size=6
    )
)
def test_any_tree_arrives_or_has_a_file_where_a_directory_is(
    tree: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    into = tmp_path_factory.mktemp("tree") / "into"
    clash = any(other.startswith(f"{name}/") for name in tree for other in tree)
    source = io.BytesIO(zst(tarfile_bytes(tree.items(), tarfile.PAX_FORMAT)))
    if clash:
        with pytest.raises(faults.PathTaken):
            extract(source, into)
        assert not into.exists()
    else:
        extract(source, into)
        found = {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}
        assert found == tree


def test_more_directories_than_are_held_open_are_filled(tmp_path: Path) -> None:
    names = [b"d%03d/e%d" % (at % 150, at) for at in range(600)]
    deep = b"/".join([b"x"] * 127)
    data = zst(b"".join(file(name, name) for name in names) + gnu_long_name(deep + b"/f") + file(b"f") + END)
    with nothing_left_open():
        extract(io.BytesIO(data), tmp_path / "into")
    assert all((tmp_path / "into" / os.fsdecode(name)).read_bytes() == name for name in names)
    assert (tmp_path / "into" / os.fsdecode(deep) / "f").exists()


@pytest.mark.parametrize("exists", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize(("data", "fault"), TRAPS.values(), ids=TRAPS.keys())
def test_each_trap_has_its_fault_and_leaves_nothing(
    tmp_path: Path, data: bytes, fault: type[Fault], exists: bool
) -> None:
    into = tmp_path / "below" / "into"
    into.parent.mkdir()
    if exists:
        into.mkdir()
    with nothing_left_open(), pytest.raises(fault):
        extract(io.BytesIO(data), into)
    assert into.exists() == exists
    assert [path for path in tmp_path.rglob("*") if path not in {into, into.parent}] == []


def test_a_path_is_opened_and_closed_and_a_file_stays_open(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.zst"
    archive.write_bytes(WHOLE)
    with nothing_left_open():
        assert extract(archive, tmp_path / "one").files == 1
    with archive.open("rb") as source:
        extract(source, tmp_path / "two")
        assert not source.closed


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(faults.ArchiveUnreadable, match="No such file"):
        extract(tmp_path / "none", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_target_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(faults.TargetNotEmpty):
        extract(io.BytesIO(WHOLE), tmp_path)
    assert (tmp_path / "kept").read_text() == "mine"


def test_a_target_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "into").symlink_to(tmp_path / "real")
    with pytest.raises(faults.TargetNotEmpty):
        extract(io.BytesIO(WHOLE), tmp_path / "into")
    assert list((tmp_path / "real").iterdir()) == []


class Meddler(io.BytesIO):
    """A source that does something to the world before its first bytes are read."""

    def __init__(self, data: bytes, meddle: Callable[[], None]) -> None:
        super().__init__(data)
        self._meddle: Callable[[], None] | None = meddle

    def read(self, size: int | None = -1, /) -> bytes:
        if self._meddle is not None:
            meddle, self._meddle = self._meddle, None
            meddle()
        return super().read(size)


@pytest.mark.parametrize("name", [b"trap", b"trap/below", b"trap/below/more"])
def test_a_link_planted_in_the_target_is_not_followed(tmp_path: Path, name: bytes) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    into = tmp_path / "into"
    source = Meddler(zst(file(name, b"x") + END), lambda: (into / "trap").symlink_to(outside))
    with pytest.raises(faults.PathTaken, match="in the way of 'trap"):
        extract(source, into)
    assert list(outside.iterdir()) == []
    assert not into.exists()


def test_a_planted_link_to_a_file_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    into = tmp_path / "into"
    with pytest.raises(faults.PathTaken):
        extract(Meddler(WHOLE, lambda: (into / "a").symlink_to(outside)), into)
    assert outside.read_text() == "mine"


def test_the_caller_can_stop_the_work(tmp_path: Path) -> None:
    asked = []

    def should_stop() -> bool:
        asked.append(True)
        return len(asked) > 5

    data = zst(header(b"zeros", size=1 << 30) + bytes(64 << 20))
    with nothing_left_open(), pytest.raises(faults.ArchiveStopped):
        extract(io.BytesIO(data), tmp_path / "into", should_stop=should_stop)
    assert len(asked) < 12
    assert not (tmp_path / "into").exists()


def test_a_source_that_fails_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    with nothing_left_open(), pytest.raises(faults.ArchiveUnreadable, match="Input/output error"):
        extract(Meddler(WHOLE, fail), tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_bug_in_the_source_passes_through_and_nothing_is_left(tmp_path: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with nothing_left_open(), pytest.raises(ZeroDivisionError):
        extract(Meddler(WHOLE, fail), tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    data = zst(file(b"a", b"x" * 100_000) + END)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with nothing_left_open(), pytest.raises(faults.ArchiveUnwritable, match="File too large"):
            extract(io.BytesIO(data), tmp_path / "into")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "into").exists()


def test_a_parent_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(faults.ArchiveUnwritable, match="No such file"):
        extract(io.BytesIO(WHOLE), tmp_path / "none" / "into")


def test_limits_hold(tmp_path: Path) -> None:
    with pytest.raises(faults.TooManyEntries):
        extract(io.BytesIO(zst(file(b"a") + file(b"b") + END)), tmp_path / "into", Limits(entries=1))


_MEASURE = """
import pathlib, resource, sys
from kit.archive.extract import extract
from kit.faults import Fault
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
extract(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_stays_bounded_while_a_large_file_is_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.zst"
    archive.write_bytes(zst(header(b"a", size=256 << 20) + bytes(256 << 20) + END))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, archive, tmp_path / "into"], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 32 << 10
