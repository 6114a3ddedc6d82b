"""Files are replaced whole, keep to their mode, and leave nothing beside them."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from kit.files import Draft, create_file, remove_tree, replace_file


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_and_its_mode_is_the_one_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("earlier")
    path.chmod(0o644)
    replace_file(path, b"later")
    assert (path.read_bytes(), _mode(path)) == (b"later", 0o600)
    replace_file(path, b"shown", mode=0o644)
    assert (path.read_bytes(), _mode(path)) == (b"shown", 0o644)
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_does_not_follow_the_mask_of_the_process(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "a", b"", mode=0o644)
    finally:
        os.umask(before)
    assert _mode(tmp_path / "a") == 0o644


def test_a_reader_never_sees_a_half_written_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    replace_file(path, b"earlier")
    seen: list[bytes] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        real(descriptor)
        seen.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", look)
    replace_file(path, b"later")
    # First the content reaches the disk, while the name still says the earlier one; then the folder does.
    assert seen == [b"earlier", b"later"]


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    replace_file(path, b"earlier")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"later")
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert create_file(path, b"first")
    assert not create_file(path, b"second")
    assert (path.read_bytes(), _mode(path)) == (b"first", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_removed_however_deep_and_what_it_links_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    remove_tree(folder)
    remove_tree(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "kept").exists()


def test_a_draft_shows_nothing_until_it_is_put_in_place_and_leaves_nothing_when_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with closing(Draft(path)) as draft:
        draft.write(b"one ")
        draft.write(b"two")
        assert not path.exists()
        draft.replace()
    assert (path.read_bytes(), _mode(path)) == (b"one two", 0o600)

    with closing(Draft(path)) as draft:
        draft.write(b"three")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"one two", [path])


def test_a_draft_on_a_full_disk_keeps_what_it_had_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    room = small_disk / "in the way"
    room.write_bytes(bytes(128 * 1024))
    with closing(Draft(small_disk / "a")) as draft:
        draft.write(b"begun ")
        with pytest.raises(OSError, match="No space left"):
            draft.write(bytes(200 * 1024))
        room.unlink()
        draft.write(b"ended")
        draft.replace()
    assert (small_disk / "a").read_bytes() == b"begun ended"
