"""What the core needs to prove that hostnames belong to those who attach them."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from controld.core.ports import Transaction
from controld.model.ownership import Proof


class OwnershipProbe(Protocol):
    """Asks hosts for proofs, as a stranger would from outside."""

    async def ask(self, hostname: str, path: str) -> Proof:
        """What the hostname answers to a GET of the path over plain HTTP; it never raises for what the host does."""
        ...


class LeaseStore(Protocol):
    """Leases by name in the database."""

    async def take(self, tx: Transaction, name: str, *, owner: str, now: dt.datetime, until: dt.datetime) -> bool:
        """Hold the lease until then unless another holds it; whoever has it may take it again, for longer."""
        ...

    async def release(self, tx: Transaction, name: str, *, owner: str) -> None:
        """Give the lease back, if it is still the owner's."""
        ...
