"""The fake vault and the one on disk, held to the same cases; and the one on disk beside stock `sops`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controld.core.faults import SecretNotFound, SecretShut
from controld.core.ports_secrets import SecretVault
from controld.store import sops
from controld.store.secret_files import SecretFiles
from kit.clock import SystemClock
from tests.fakes.secrets import FakeSecrets

_SECRETS = {"username": "zoe", "password": 'p"ä:\n\\ 1', "empty": "", "note_unencrypted": "hidden all the same"}


@dataclass
class Twin:
    """One of the two, and a way to make a document of it impossible to open."""

    vault: SecretVault
    shut: Callable[[str, str], None]


async def _make_files(folder: Path, **changes: Any) -> SecretFiles:
    files = SecretFiles(
        folder / "secrets",
        **{
            "key_file": folder / "age.key",
            "may_make_key": True,
            "recipients": (),
            "clock": SystemClock(),
            **changes,
        },
    )
    await files.open()
    return files


@pytest.fixture(params=["fake", "files"])
async def twin(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Twin]:
    if request.param == "fake":
        fake = FakeSecrets()
        yield Twin(fake, lambda scope, ref: fake.shut.add((scope, ref)))
    else:
        files = await _make_files(tmp_path)
        yield Twin(files, lambda scope, ref: _tamper(tmp_path / "secrets" / scope / f"{ref}.json"))


def _tamper(path: Path) -> None:
    document = json.loads(path.read_text())
    document["username"], document["password"] = document["password"], document["username"]
    path.write_text(json.dumps(document))


async def test_a_scope_goes_with_all_of_its_documents_and_no_others(twin: Twin) -> None:
    for scope, ref in (("p-1", "a"), ("p-1", "b"), ("p-2", "a")):
        await twin.vault.put(scope, ref, values={"token": scope})
    await twin.vault.delete_scope("p-1")
    await twin.vault.delete_scope("p-1")
    for ref in ("a", "b"):
        with pytest.raises(SecretNotFound):
            await twin.vault.get("p-1", ref)
    assert await twin.vault.get("p-2", "a") == {"token": "p-2"}
    await twin.vault.put("p-1", "a", values={"token": "again"})
    assert await twin.vault.get("p-1", "a") == {"token": "again"}


async def test_what_was_put_is_got_back(twin: Twin) -> None:
    await twin.vault.put("p-1", "registry-1", values=_SECRETS)
    assert await twin.vault.get("p-1", "registry-1") == _SECRETS


async def test_a_later_document_takes_the_place_of_the_earlier(twin: Twin) -> None:
    await twin.vault.put("p-1", "registry-1", values=_SECRETS)
    await twin.vault.put("p-1", "registry-1", values={"token": "t"})
    assert await twin.vault.get("p-1", "registry-1") == {"token": "t"}


async def test_another_scope_has_none_of_it(twin: Twin) -> None:
    await twin.vault.put("p-1", "registry-1", values=_SECRETS)
    with pytest.raises(SecretNotFound):
        await twin.vault.get("p-2", "registry-1")


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(twin: Twin) -> None:
    await twin.vault.put("p-1", "registry-1", values=_SECRETS)
    await twin.vault.delete("p-1", "registry-1")
    await twin.vault.delete("p-1", "registry-1")
    with pytest.raises(SecretNotFound):
        await twin.vault.get("p-1", "registry-1")


async def test_a_document_that_stays_shut_says_so_without_its_content(twin: Twin) -> None:
    await twin.vault.put("p-1", "registry-1", values=_SECRETS)
    twin.shut("p-1", "registry-1")
    with pytest.raises(SecretShut) as caught:
        await twin.vault.get("p-1", "registry-1")
    assert "zoe" not in caught.value.message


def _sops(program: Path, *arguments: str | Path, key_file: Path) -> str:
    done = subprocess.run(
        [program, "--disable-version-check", *arguments],
        env={"SOPS_AGE_KEY_FILE": str(key_file), "HOME": str(key_file.parent), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_stock_sops_opens_what_we_wrote(tmp_path: Path, sops_program: Path) -> None:
    await (await _make_files(tmp_path)).put("p-1", "registry-1", values=_SECRETS)
    shown = _sops(sops_program, "decrypt", tmp_path / "secrets/p-1/registry-1.json", key_file=tmp_path / "age.key")
    assert json.loads(shown) == _SECRETS


async def test_another_recipient_opens_it_with_stock_sops_and_its_own_key(tmp_path: Path, sops_program: Path) -> None:
    spare = sops.make_identity()
    (tmp_path / "spare.key").write_text(spare + "\n")
    files = await _make_files(tmp_path, recipients=(sops.find_recipient(spare),))
    await files.put("p-1", "registry-1", values=_SECRETS)
    shown = _sops(sops_program, "decrypt", tmp_path / "secrets/p-1/registry-1.json", key_file=tmp_path / "spare.key")
    assert json.loads(shown) == _SECRETS
    assert await files.get("p-1", "registry-1") == _SECRETS


async def test_what_stock_sops_edited_opens_here(tmp_path: Path, sops_program: Path) -> None:
    files = await _make_files(tmp_path)
    await files.put("p-1", "registry-1", values=_SECRETS)
    path = tmp_path / "secrets/p-1/registry-1.json"
    _sops(sops_program, "set", path, '["password"]', '"changed"', key_file=tmp_path / "age.key")
    _sops(sops_program, "set", path, '["more"]', "7", key_file=tmp_path / "age.key")
    _sops(sops_program, "rotate", "-i", path, key_file=tmp_path / "age.key")
    assert await files.get("p-1", "registry-1") == {**_SECRETS, "password": "changed", "more": "7"}


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--unencrypted-suffix", "_shown"],
        ["--encrypted-suffix", "d"],
        ["--encrypted-regex", "^user"],
        ["--unencrypted-regex", "^user"],
        ["--mac-only-encrypted", "--encrypted-regex", "^user"],
    ],
    ids=lambda options: " ".join(options) or "plain",
)
async def test_what_stock_sops_wrote_for_several_recipients_opens_here(
    tmp_path: Path, sops_program: Path, options: list[str]
) -> None:
    files = await _make_files(tmp_path)
    own = sops.find_recipient((tmp_path / "age.key").read_text().splitlines()[-1])
    other = sops.find_recipient(sops.make_identity())
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({**_SECRETS, "port": 5432, "share": 0.25, "on": True, "none": None}))
    folder = tmp_path / "secrets/p-1"
    folder.mkdir()
    arguments: list[str | Path] = ["--encrypt", "--age", f"{other},{own}", *options, plain]
    sealed = _sops(sops_program, *arguments, key_file=tmp_path / "age.key")
    (folder / "registry-1.json").write_text(sealed)
    assert await files.get("p-1", "registry-1") == {**_SECRETS, "port": "5432", "share": "0.25", "on": "True"}
