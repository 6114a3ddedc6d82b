"""A certificate authority in memory, which says what a test wants."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable

from controld.model.certificate import HttpProof, Issued, Order
from kit.faults import Fault


class FakeIssuer:
    """Issues for `days` from `now()` on; a fault in `faults` is raised at the host's `finish`, or else at `begin`.

    While `gate` is clear whoever finishes waits; `begun` and `account_keys` say who came.
    """

    def __init__(self) -> None:
        self.begin_faults: dict[str, Fault] = {}
        self.finish_faults: dict[str, Fault] = {}
        self.needs_proof = True
        self.days = 90.0
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun: list[str] = []
        self.finishing = asyncio.Event()
        self.issued: list[str] = []
        self.abandoned: list[str] = []
        self.account_keys: set[str] = set()

    @property
    def name(self) -> str:
        return "fake"

    async def begin(self, hostname: str, *, account_key_pem: str, key_pem: str) -> Order:
        self.begun.append(hostname)
        self.account_keys.add(account_key_pem)
        if (fault := self.begin_faults.get(hostname)) is not None:
            raise fault
        number = len(self.begun)
        proof = HttpProof(token=f"token-{number}", body=f"token-{number}.thumb") if self.needs_proof else None
        return Order(hostname=hostname, proof=proof, handle=number)

    async def finish(self, order: Order) -> Issued:
        self.finishing.set()
        await self.gate.wait()
        if (fault := self.finish_faults.get(order.hostname)) is not None:
            raise fault
        self.issued.append(order.hostname)
        start = self.now()
        return Issued(
            chain_pem=f"chain {len(self.issued)} of {order.hostname}\n",
            not_before_at=start,
            not_after_at=start + dt.timedelta(days=self.days),
        )

    def abandon(self, order: Order) -> None:
        self.abandoned.append(order.hostname)
