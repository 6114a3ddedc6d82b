"""What the core needs to get certificates that the world trusts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Protocol

from controld.core.ports import Transaction
from controld.model.certificate import Certificate, HttpProof, Issued, Order, SecuredHost


class Issuer(Protocol):
    """A public certificate authority.

    Every call raises IssuerRefused when it says no, IssuerLimited when it wants to be asked less, and IssuerUnreachable
    when it does not answer; `retry_after_seconds` of the fault is its own word for when to come again.
    """

    @property
    def name(self) -> str:
        """Tells this authority from others: an account at one is none at another."""
        ...

    async def begin(self, hostname: str, *, account_key_pem: str, key_pem: str) -> Order:
        """Order a certificate for the key; the account is opened, terms agreed to, where there is none for its key."""
        ...

    async def finish(self, order: Order) -> Issued:
        """Have the proof looked at, and fetch the certificate, which is for the key and the host."""
        ...

    def abandon(self, order: Order) -> None:
        """Stop what still goes on for the order; calling it again does nothing."""
        ...


class CertificateStore(Protocol):
    """Certificates of hosts in the database, and the proofs that nodes answer with."""

    async def list_secured(self, tx: Transaction, *, assigned: bool) -> list[SecuredHost]:
        """The verified hosts that people gave services which want TLS; with `assigned` also the platform's own."""
        ...

    async def list(self, tx: Transaction, *, only: Collection[str] | None = None) -> list[Certificate]:
        """Certificates by hostname; with `only`, those of these."""
        ...

    async def claim(
        self, tx: Transaction, hostname: str, *, owner: str, now: dt.datetime, until: dt.datetime
    ) -> Certificate | None:
        """Take the lease on a host's certificate when nobody holds it, making its row where there is none."""
        ...

    async def conclude(self, tx: Transaction, certificate: Certificate, *, owner: str) -> bool:
        """Write down what came of a try and give the lease back; False when the lease is another's by now."""
        ...

    async def release(self, tx: Transaction, hostname: str, *, owner: str) -> None:
        """Give the lease back with nothing changed."""
        ...

    async def set_next_try(self, tx: Transaction, hostname: str, *, at: dt.datetime) -> None:
        """Have the host's next try be then."""
        ...

    async def drop(self, tx: Transaction, hostname: str) -> None:
        """Forget a host's certificate."""
        ...

    async def add_proof(self, tx: Transaction, hostname: str, *, proof: HttpProof, now: dt.datetime) -> None:
        """Have every node answer this."""
        ...

    async def drop_proofs(self, tx: Transaction, hostname: str) -> None:
        """Have no node answer for the host any more."""
        ...

    async def find_proof(self, tx: Transaction, token: str) -> str | None:
        """What is answered under this token."""
        ...
