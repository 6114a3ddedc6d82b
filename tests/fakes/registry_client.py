"""External registries that tell what a test says."""

from __future__ import annotations

from kit.faults import Fault
from wire.agent.builds import RegistryLogin


class FakeRegistryClient:
    """Tells `digests` by reference, or raises the fault that stands there; `asked` keeps each ask with its sign-in."""

    def __init__(self) -> None:
        self.digests: dict[str, str | Fault] = {}
        self.asked: list[tuple[str, RegistryLogin | None]] = []

    async def resolve(self, reference: str, *, login: RegistryLogin | None) -> str | None:
        self.asked.append((reference, login))
        found = self.digests.get(reference)
        if isinstance(found, Fault):
            raise found
        return found
