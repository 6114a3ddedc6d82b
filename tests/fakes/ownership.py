"""An Internet in which hosts prove what a test says."""

from __future__ import annotations

import asyncio

from controld.model.ownership import Proof


class FakeProbe:
    """Answers with `proofs` by hostname, or with the right token; while `gate` is clear it keeps everybody
    waiting, and `begun` says that somebody is.
    """

    def __init__(self) -> None:
        self.proofs: dict[str, Proof] = {}
        self.asked: list[tuple[str, str]] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, hostname: str, path: str) -> Proof:
        self.asked.append((hostname, path))
        self.begun.set()
        await self.gate.wait()
        return self.proofs.get(hostname, Proof(status=200, body=path.rpartition("/")[2].encode() + b"\n"))
