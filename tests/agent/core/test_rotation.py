"""What is said to take requests is what the proxy was led to, not what it is being led to."""

from __future__ import annotations

import asyncio

from agent.core.rotation import Rotation
from agent.model.ingress import ApplyResult, IngressObserved, IngressState, Process, Route, Server
from kit.clock import SystemClock
from tests.fakes.ingress import FakeIngress


class SlowIngress(FakeIngress):
    """Applies a state once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.may_go = asyncio.Event()

    async def apply(self, wanted: IngressState) -> ApplyResult:
        self.begun.set()
        await self.may_go.wait()
        return await super().apply(wanted)


def lead_to(name: str) -> IngressState:
    server = Server(name=name, address="10.0.0.1", port=80)
    return IngressState(routes=(Route(key="svc-a", hosts=("a.example.com",), servers=(server,)),))


async def test_a_server_serves_once_the_proxy_leads_there_and_until_it_leads_elsewhere() -> None:
    ingress = SlowIngress()
    rotation = Rotation(ingress, SystemClock())
    nothing = IngressObserved(process=Process(pid=1, started_at_seconds=1), backends=(), hosts={})
    served: list[frozenset[str]] = []
    for name in ("waker", "replica"):
        ingress.begun.clear()
        ingress.may_go.clear()
        turning = asyncio.ensure_future(rotation.turn(lead_to(name), nothing))
        await ingress.begun.wait()
        served.append(rotation.serving)
        ingress.may_go.set()
        assert await turning
        served.append(rotation.serving)
    assert served == [frozenset(), {"waker"}, {"waker"}, {"replica"}]
