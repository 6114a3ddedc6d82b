"""Keeps the node's spec: written down before anything acts on it, and found again after a reboot."""

from __future__ import annotations

import asyncio
import logging

from agent.core.faults import WrongNode
from agent.core.ports import SpecFile
from kit.faults import Fault
from wire.spec import NodeSpec

_log = logging.getLogger(__name__)


class Specs:
    """The spec that the node follows; `current` and `digest` are None until one was accepted or found."""

    def __init__(self, file: SpecFile, *, node_id: str) -> None:
        self._file = file
        self._node_id = node_id
        self._writing = asyncio.Lock()
        self.current: NodeSpec | None = None
        self.digest: str | None = None

    async def load(self) -> None:
        """Take up the spec written down last; one that cannot be read is left for controld to replace."""
        try:
            found = await self._file.read()
        except Fault as fault:
            _log.error("spec not read", extra={"fault": fault.message})
            return
        if found is None:
            return
        digest, spec = found
        if spec.node_id != self._node_id:
            _log.error("spec on disk is for another node", extra={"node_id": spec.node_id})
            return
        self.current, self.digest = spec, digest

    async def accept(self, spec: NodeSpec, digest: str) -> bool:
        """Write the spec down and follow it from then on; False when it is the one already followed.

        The digest names it, and is kept as it came.

        Raises WrongNode, or SpecNotWritten with the old spec still in force.
        """
        if spec.node_id != self._node_id:
            raise WrongNode(f"cannot follow the spec: it is for node {spec.node_id}, this is {self._node_id}")
        async with self._writing:
            if digest == self.digest:
                return False
            await self._file.write(digest, spec)
            self.current, self.digest = spec, digest
            return True
