"""A certificate for a host that the world asks: what is held, and how it goes with getting the next one."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum


class CertificateStatus(enum.Enum):
    """How a host stands with its certificate."""

    PENDING = "pending"
    """None was had yet, and no try has failed."""
    ISSUED = "issued"
    FAILED = "failed"
    """None was had yet, and the last try failed."""
    EXPIRED = "expired"
    """The one that was had is over, and no other came."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is kept of a host's certificate; its key is in the vault under `key_ref`."""

    hostname: str
    created_at: dt.datetime
    chain_pem: str | None = None
    """Its own certificate first; absent: none was had yet."""
    key_ref: str | None = None
    not_before_at: dt.datetime | None = None
    not_after_at: dt.datetime | None = None
    issued_at: dt.datetime | None = None
    failures: int = 0
    """Tries that failed since the last that did not."""
    last_error: str | None = None
    last_try_at: dt.datetime | None = None
    next_try_at: dt.datetime | None = None
    """Nothing is tried before; absent: whenever it is due."""
    barred_until_at: dt.datetime | None = None
    """The authority itself does not want to be asked before."""

    def status(self, now: dt.datetime) -> CertificateStatus:
        """How it stands at that moment."""
        if self.chain_pem is None:
            return CertificateStatus.FAILED if self.failures else CertificateStatus.PENDING
        over = self.not_after_at is not None and self.not_after_at <= now
        return CertificateStatus.EXPIRED if over else CertificateStatus.ISSUED


@dataclasses.dataclass(frozen=True, slots=True)
class CertificateTold:
    """A certificate as it stood when it was asked for."""

    certificate: Certificate
    status: CertificateStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecuredHost:
    """A host that should be served over TLS; `service_id` is absent for the platform's own."""

    hostname: str
    service_id: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HttpProof:
    """What the authority asks for at `/.well-known/acme-challenge/<token>`."""

    token: str
    body: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that the authority has taken; `proof` is absent when it needs none, `handle` is the gateway's own."""

    hostname: str
    proof: HttpProof | None
    handle: object = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A chain that the authority has issued, its own certificate first."""

    chain_pem: str
    not_before_at: dt.datetime
    not_after_at: dt.datetime
