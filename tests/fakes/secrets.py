"""Secrets kept in memory."""

from __future__ import annotations

from collections.abc import Mapping

from controld.core.faults import SecretNotFound, SecretShut


class FakeSecrets:
    """Documents by scope and ref; those in `shut` cannot be opened."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, str]] = {}
        self.shut: set[tuple[str, str]] = set()

    async def put(self, scope: str, ref: str, *, values: Mapping[str, str]) -> None:
        self.kept[scope, ref] = dict(values)
        self.shut.discard((scope, ref))

    async def get(self, scope: str, ref: str) -> Mapping[str, str]:
        if (scope, ref) in self.shut:
            raise SecretShut(f"cannot open secret {ref}: it is shut")
        if (scope, ref) not in self.kept:
            raise SecretNotFound(f"cannot open secret {ref}: there is none")
        return dict(self.kept[scope, ref])

    async def delete(self, scope: str, ref: str) -> None:
        self.kept.pop((scope, ref), None)

    async def delete_scope(self, scope: str) -> None:
        for key in [key for key in self.kept if key[0] == scope]:
            del self.kept[key]
