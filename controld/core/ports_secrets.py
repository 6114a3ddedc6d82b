"""What the core needs to keep secrets: documents of named values that only the platform's age key opens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class SecretVault(Protocol):
    """Keeps documents of named secret values, encrypted at rest as SOPS documents.

    A `scope` is a project id or `platform`; a `ref` names one document in it (`[A-Za-z0-9._-]+`).
    """

    async def put(self, scope: str, ref: str, *, values: Mapping[str, str]) -> None:
        """Write the document whole and durably in place of what was there."""

    async def get(self, scope: str, ref: str) -> Mapping[str, str]:
        """The document's values; raises a NotFound fault when there is none, an Unavailable one when it stays shut."""

    async def delete(self, scope: str, ref: str) -> None:
        """Remove the document; what is not there is gone already."""

    async def delete_scope(self, scope: str) -> None:
        """Remove every document of the scope, whose project is gone."""
