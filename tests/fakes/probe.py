"""Health checks whose outcomes a test decides."""

from __future__ import annotations

from agent.model.replica import Probed


class FakeProbe:
    """Every check succeeds, but for the addresses that `outcomes` names; `asked` counts them by address."""

    def __init__(self) -> None:
        self.default = Probed(detail="200")
        self.outcomes: dict[str, Probed] = {}
        self.asked: dict[str, int] = {}

    async def check(self, host: str, port: int, path: str, *, timeout_seconds: float) -> Probed:
        self.asked[host] = self.asked.get(host, 0) + 1
        return self.outcomes.get(host, self.default)
