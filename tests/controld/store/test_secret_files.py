"""Secrets on disk are closed to others, and their key is never lost silently."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from controld.core.faults import SecretShut, SecretsUnusable
from controld.store import sops
from controld.store.secret_files import SecretFiles
from kit.faults import Invalid
from tests.fakes.clock import FakeClock


def _files(folder: Path, **changes: Any) -> SecretFiles:
    return SecretFiles(
        folder / "secrets",
        **{"key_file": folder / "age.key", "may_make_key": True, "recipients": (), "clock": FakeClock(), **changes},
    )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_key_folders_and_documents_are_the_owners_alone(tmp_path: Path) -> None:
    files = _files(tmp_path)
    await files.open()
    await files.put("p-1", "registry-1", values={"token": "hush"})
    document = tmp_path / "secrets/p-1/registry-1.json"
    assert [_mode(tmp_path / name) for name in ("age.key", "secrets", "secrets/p-1")] == [0o600, 0o700, 0o700]
    assert _mode(document) == 0o600
    assert [path.name for path in document.parent.iterdir()] == ["registry-1.json"]
    assert "hush" not in document.read_text()


async def test_the_key_of_the_first_start_is_used_at_the_next(tmp_path: Path) -> None:
    first = _files(tmp_path)
    await first.open()
    await first.put("p-1", "a", values={"token": "hush"})
    second = _files(tmp_path)
    await second.open()
    assert await second.get("p-1", "a") == {"token": "hush"}


async def test_a_key_that_is_gone_is_not_replaced_while_secrets_need_it(tmp_path: Path) -> None:
    files = _files(tmp_path)
    await files.open()
    await files.put("p-1", "a", values={"token": "hush"})
    (tmp_path / "age.key").unlink()
    with pytest.raises(SecretsUnusable, match="put it back"):
        await _files(tmp_path).open()
    assert not (tmp_path / "age.key").exists()


async def test_a_key_file_of_the_operators_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(SecretsUnusable, match="there is no file"):
        await _files(tmp_path, may_make_key=False).open()


async def test_old_identities_in_the_key_file_still_open_what_was_written_for_them(tmp_path: Path) -> None:
    before = _files(tmp_path)
    await before.open()
    await before.put("p-1", "old", values={"token": "hush"})
    newer = sops.make_identity()
    key_file = tmp_path / "age.key"
    key_file.write_text(f"# the newer first\n{newer}\n\n{key_file.read_text()}")
    after = _files(tmp_path)
    await after.open()
    await after.put("p-1", "new", values={"token": "fresh"})
    assert await after.get("p-1", "old") == {"token": "hush"}
    sealed = (tmp_path / "secrets/p-1/new.json").read_bytes()
    assert sops.open_document(sealed, identities=[newer]) == {"token": "fresh"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "AGE-SECRET-KEY-1NO\n", "\xff\xfe"])
async def test_a_key_file_without_a_key_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "age.key").write_text(text, encoding="latin-1")
    with pytest.raises(SecretsUnusable):
        await _files(tmp_path).open()


async def test_a_recipient_that_is_none_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SecretsUnusable, match="recipient"):
        await _files(tmp_path, recipients=("age1nobody",)).open()


async def test_a_document_of_another_platform_stays_shut(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    theirs, ours = _files(tmp_path / "other"), _files(tmp_path)
    await theirs.open()
    await ours.open()
    await theirs.put("p-1", "a", values={"token": "hush"})
    (tmp_path / "secrets/p-1").mkdir()
    (tmp_path / "other/secrets/p-1/a.json").rename(tmp_path / "secrets/p-1/a.json")
    with pytest.raises(SecretShut, match="none of our age keys"):
        await ours.get("p-1", "a")


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "a\n", "ä", "x" * 201])
async def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    files = _files(tmp_path)
    await files.open()
    with pytest.raises(Invalid):
        await files.put("p-1", name, values={"a": "b"})
    with pytest.raises(Invalid):
        await files.get(name, "a")
