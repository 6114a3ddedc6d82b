"""Packing a folder: the same bytes for the same folder, and what is not packed."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from kit.archive import faults
from kit.archive.extract import extract
from kit.archive.pack import pack


def fill(folder: Path, *, backwards: bool = False) -> None:
    files = {
        "Dockerfile": b"FROM scratch\n",
        "src/main.py": b"print()\n" * 100_000,
        "src/é": b"",
        "n" * 120 + "/" + "m" * 120: b"long",
    }
    for name, data in sorted(files.items(), reverse=backwards):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "empty").mkdir()
    (folder / "Dockerfile").chmod(0o700)


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_what_is_packed_unpacks_to_the_same_folder(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    archive = tmp_path / "a.tar.zst"
    packed = pack(tmp_path / "a", archive)
    assert extract(archive, tmp_path / "b") == packed
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert (tmp_path / "b/Dockerfile").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "b/src/main.py").stat().st_mode & 0o777 == 0o644
    assert packed.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert packed.compressed_bytes == archive.stat().st_size


def test_bytes_depend_on_names_and_contents_alone(tmp_path: Path) -> None:
    outputs: list[bytes] = []
    for name, backwards in (("a", False), ("b", True)):
        fill(tmp_path / name, backwards=backwards)
        os.utime(tmp_path / name / "Dockerfile", (len(outputs), 7))
        out = io.BytesIO()
        pack(tmp_path / name, out)
        outputs.append(out.getvalue())
    assert outputs[0] == outputs[1]


def test_the_standard_library_reads_it(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    out = io.BytesIO()
    pack(tmp_path / "a", out)
    data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(out.getvalue())).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
    assert [member.name for member in members][:3] == ["Dockerfile", "empty", "n" * 120]
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members} == {(0, 0, 0, "")}


def test_what_is_not_included_is_neither_packed_nor_entered(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    (tmp_path / "a/src/link").symlink_to("/etc/passwd")
    asked = []

    def include(path: str) -> bool:
        asked.append(path)
        return path not in {"src", "empty"}

    pack(tmp_path / "a", tmp_path / "a.tar.zst", include=include)
    extract(tmp_path / "a.tar.zst", tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["Dockerfile", "n" * 120]
    assert "src/main.py" not in asked


def test_a_symbolic_link_is_refused_by_its_path_and_no_archive_is_left(tmp_path: Path) -> None:
    (tmp_path / "a/d").mkdir(parents=True)
    (tmp_path / "a/d/link").symlink_to("/etc")
    with pytest.raises(faults.EntryForbidden, match="cannot pack 'd/link': it is a symbolic link"):
        pack(tmp_path / "a", tmp_path / "a.tar.zst")
    assert not (tmp_path / "a.tar.zst").exists()


def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(faults.EntryForbidden, match="'pipe': it is a fifo"):
        pack(tmp_path, io.BytesIO())


def test_a_missing_folder_and_a_sink_that_fails_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(faults.ArchiveUnreadable, match="cannot pack the folder: No such file"):
        pack(tmp_path / "none", io.BytesIO())
    (tmp_path / "a").mkdir()
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(faults.ArchiveUnwritable, match="No space"):
        pack(tmp_path / "a", full)
    with pytest.raises(faults.ArchiveUnwritable, match="No such file"):
        pack(tmp_path / "a", tmp_path / "none" / "a.tar.zst")


def test_an_empty_folder_is_an_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    pack(tmp_path / "a", tmp_path / "a.tar.zst")
    assert extract(tmp_path / "a.tar.zst", tmp_path / "b").entries == 0
