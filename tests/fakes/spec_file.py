"""A spec file in memory."""

from __future__ import annotations

from agent.core.faults import SpecNotWritten, SpecUnreadable
from wire.spec import NodeSpec


class FakeSpecFile:
    """Holds what was written last; `full` refuses writes and `garbled` reads, as a disk may."""

    def __init__(self) -> None:
        self.held: tuple[str, NodeSpec] | None = None
        self.full = False
        self.garbled = False

    async def read(self) -> tuple[str, NodeSpec] | None:
        if self.garbled:
            raise SpecUnreadable("cannot read the node's spec: the test has garbled it")
        return self.held

    async def write(self, digest: str, spec: NodeSpec) -> None:
        if self.full:
            raise SpecNotWritten("cannot write the node's spec: the disk is full")
        self.held = (digest, spec)
