"""The spec on disk is whole or the earlier one, for its owner's eyes, and garbage is told as such."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.core.faults import SpecNotWritten, SpecUnreadable
from agent.host.spec_file import DiskSpecFile
from tests.agent.rules.world import make_replica, make_spec

SPEC = make_spec(make_replica("r1"))


def list_names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_what_was_written_is_read_with_its_digest(tmp_path: Path) -> None:
    file = DiskSpecFile(tmp_path / "state" / "spec.json")
    assert await file.read() is None
    await file.write("sha256:one", make_spec())
    await file.write("sha256:two", SPEC)
    assert await file.read() == ("sha256:two", SPEC)
    assert list_names(tmp_path / "state") == ["spec.json"]
    assert (tmp_path / "state" / "spec.json").stat().st_mode & 0o777 == 0o600


async def test_garbage_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_bytes(b'{"digest": "sha256:one", "spec": {')
    with pytest.raises(SpecUnreadable, match=r"spec\.json"):
        await DiskSpecFile(tmp_path / "spec.json").read()


async def test_a_write_that_fails_keeps_the_earlier_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DiskSpecFile(tmp_path / "spec.json")
    await file.write("sha256:one", SPEC)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpecNotWritten, match="No space left"):
        await file.write("sha256:two", make_spec())
    assert await file.read() == ("sha256:one", SPEC)
    assert list_names(tmp_path) == ["spec.json"]
