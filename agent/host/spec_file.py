"""The node's spec on disk: one file, readable by its owner alone, replaced as a whole or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from agent.core.faults import SpecNotWritten, SpecUnreadable
from kit.files import replace_file
from wire.spec import NodeSpec


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds: the digest is controld's own, since another version may write the same spec otherwise."""

    digest: str
    spec: NodeSpec


class DiskSpecFile:
    """A spec at a path; what `write` returned for is there after a power cut."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> tuple[str, NodeSpec] | None:
        """The digest and the spec, or None when none was written; raises SpecUnreadable."""
        return await asyncio.to_thread(self._read)

    async def write(self, digest: str, spec: NodeSpec) -> None:
        """Replace the spec; raises SpecNotWritten, with the earlier one still in place."""
        await asyncio.to_thread(self._write, msgspec.json.encode(_Written(digest=digest, spec=spec)))

    def _read(self) -> tuple[str, NodeSpec] | None:
        try:
            written = msgspec.json.decode(self._path.read_bytes(), type=_Written)
            return written.digest, written.spec
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise SpecUnreadable(f"cannot read the node's spec in {self._path}: {error}") from error

    def _write(self, data: bytes) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, data)
        except OSError as error:
            raise SpecNotWritten(f"cannot write the node's spec to {self._path}: {error}") from error
