"""What is known of a node's images, in memory."""

from __future__ import annotations

from agent.model.images import Holdings


class FakeHoldings:
    """Keeps the holdings; `writes` counts how often they were written."""

    def __init__(self) -> None:
        self.holdings = Holdings()
        self.writes = 0

    async def read(self) -> Holdings:
        return self.holdings

    async def write(self, holdings: Holdings) -> None:
        self.holdings = holdings
        self.writes += 1
