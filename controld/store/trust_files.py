"""Files of the operator's that say which hosts of repositories are trusted, read anew for each clone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controld.core.faults import StorageFailed


class TrustFiles:
    """Reads known hosts and certificate authorities; either file may be absent from the settings."""

    def __init__(self, *, known_hosts: Path | None, authorities: Path | None) -> None:
        self._known_hosts = known_hosts
        self._authorities = authorities

    async def read(self) -> tuple[str | None, str | None]:
        """Known hosts as ssh reads them, and certificates in PEM; raises StorageFailed, naming the file."""
        return await asyncio.to_thread(_read, self._known_hosts), await asyncio.to_thread(_read, self._authorities)


def _read(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageFailed(f"cannot read {path}: {error}") from error
