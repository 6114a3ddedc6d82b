"""Secrets on disk: a SOPS document for each, which stock `sops` opens too, without the platform."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from controld.core.faults import SecretNotFound, SecretShut, SecretsUnusable, StorageFailed
from controld.store import sops
from kit.clock import Clock
from kit.faults import Invalid
from kit.files import create_file, make_folder, remove_tree, replace_file

_WORD: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_FOLDER_MODE: Final = 0o700


class SecretFiles:
    """Keeps `<folder>/<scope>/<ref>.json`, mode 0600 in folders of 0700, each replaced as a whole.

    `key_file` holds age identities, a line each, as `age-keygen` writes them: the first is for new documents, all are
    tried on old ones. `may_make_key` lets `open` make it where it is missing. `recipients` can open new documents too.
    """

    def __init__(
        self, folder: Path, *, key_file: Path, may_make_key: bool, recipients: Sequence[str], clock: Clock
    ) -> None:
        self._folder = folder
        self._key_file = key_file
        self._may_make_key = may_make_key
        self._extra = tuple(recipients)
        self._clock = clock
        self._identities: tuple[str, ...] = ()
        self._recipients: tuple[str, ...] = ()

    async def open(self) -> None:
        """Take up the age key; ahead of every other call. Raises SecretsUnusable."""
        await asyncio.to_thread(self._open)

    async def put(self, scope: str, ref: str, *, values: Mapping[str, str]) -> None:
        """Write the document in place of what was there; raises StorageFailed, with the earlier one still in place."""
        await asyncio.to_thread(self._put, self._path(scope, ref), dict(values))

    async def get(self, scope: str, ref: str) -> Mapping[str, str]:
        """The document's values; raises SecretNotFound and SecretShut."""
        return await asyncio.to_thread(self._get, self._path(scope, ref))

    async def delete(self, scope: str, ref: str) -> None:
        """Remove the document; what is not there is gone already."""
        await asyncio.to_thread(self._delete, self._path(scope, ref))

    async def delete_scope(self, scope: str) -> None:
        """Remove every document of the scope; what the disk refuses stays shut where it is."""
        await asyncio.to_thread(remove_tree, self._path(scope, "any").parent)

    def _open(self) -> None:
        try:
            make_folder(self._folder, mode=_FOLDER_MODE)
            self._folder.chmod(_FOLDER_MODE)
            if not self._key_file.exists():
                self._make_key()
            lines = [line.strip() for line in self._key_file.read_text().splitlines()]
            self._identities = tuple(line for line in lines if line and not line.startswith("#"))
            if not self._identities:
                raise SecretsUnusable(f"cannot use the age key: {self._key_file} holds none")
            own = sops.find_recipient(self._identities[0])
            for recipient in self._extra:
                sops.check_recipient(recipient)
            self._recipients = tuple(dict.fromkeys((own, *self._extra)))
        except (OSError, ValueError) as error:
            raise SecretsUnusable(f"cannot use the age key in {self._key_file} and age_recipients: {error}") from error

    def _make_key(self) -> None:
        if not self._may_make_key:
            raise SecretsUnusable(f"cannot use the age key: there is no file {self._key_file}")
        if next(self._folder.glob("*/*.json"), None) is not None:
            raise SecretsUnusable(
                f"cannot use the age key: {self._key_file} is gone, and {self._folder} holds secrets that only it "
                "opens; put it back from a copy"
            )
        identity = sops.make_identity()
        create_file(self._key_file, f"# public key: {sops.find_recipient(identity)}\n{identity}\n".encode())

    def _put(self, path: Path, values: Mapping[str, str]) -> None:
        try:
            data = sops.seal_document(values, recipients=self._recipients, modified_at=self._clock.now())
        except ValueError as error:
            raise Invalid(f"cannot keep secret {path.stem}: {error}") from error
        try:
            make_folder(path.parent, mode=_FOLDER_MODE)
            replace_file(path, data)
        except OSError as error:
            raise StorageFailed(f"cannot keep secret {path.stem}: {error.strerror}") from error

    def _get(self, path: Path) -> Mapping[str, str]:
        try:
            return sops.open_document(path.read_bytes(), identities=self._identities)
        except FileNotFoundError as error:
            raise SecretNotFound(f"cannot open secret {path.stem}: there is none") from error
        except (OSError, sops.DocumentShut) as error:
            raise SecretShut(f"cannot open secret {path.stem}: {error}") from error

    def _delete(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailed(f"cannot remove secret {path.stem}: {error.strerror}") from error

    def _path(self, scope: str, ref: str) -> Path:
        for word in (scope, ref):
            if _WORD.fullmatch(word) is None or word.startswith("."):
                raise Invalid("cannot name a secret so: letters, digits, '.', '_' and '-' only, no '.' in front")
        return self._folder / scope / f"{ref}.json"
