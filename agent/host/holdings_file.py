"""What is known of the node's images, on disk: one file, replaced as a whole or not at all."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from agent.core.faults import HoldingsNotWritten
from agent.model.images import Holdings
from kit.files import replace_file

_log = logging.getLogger(__name__)


class DiskHoldings:
    """Holdings at a path. What cannot be read counts as nothing: images that were pulled before then stay for ever."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Holdings:
        """What was written last, or nothing."""
        return await asyncio.to_thread(self._read)

    async def write(self, holdings: Holdings) -> None:
        """Replace it; raises HoldingsNotWritten, with the earlier one still in place."""
        await asyncio.to_thread(self._write, msgspec.json.encode(holdings))

    def _read(self) -> Holdings:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Holdings)
        except FileNotFoundError:
            return Holdings()
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("list of images not read", extra={"path": str(self._path), "error": str(error)})
            return Holdings()

    def _write(self, data: bytes) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, data)
        except OSError as error:
            raise HoldingsNotWritten(f"cannot write the list of images to {self._path}: {error}") from error
