"""The JSON of hostnames and certificates, and what it says of our records."""

from __future__ import annotations

import datetime as dt
from typing import Any

from controld.core.domains import Domain
from controld.model.certificate import CertificateStatus, CertificateTold
from controld.model.hostname import HostnameStatus
from wire.base import Lenient


class DomainAsked(Lenient, frozen=True):
    """A hostname for a service."""

    hostname: str


class CertificateStateShape(Lenient, frozen=True):
    """How a host stands with its certificate; `last_error` is why the last try failed, also of one to renew."""

    status: CertificateStatus
    issued_at: dt.datetime | None
    expires_at: dt.datetime | None
    last_error: str | None
    next_try_at: dt.datetime | None


class CertificateShape(CertificateStateShape, frozen=True):
    """A host's certificate."""

    hostname: str


class ServiceDomainShape(Lenient, frozen=True):
    """A hostname of a service; `certificate` is null where none was ever wanted."""

    id: str
    service_id: str
    hostname: str
    status: HostnameStatus
    challenge_token: str
    verified_at: dt.datetime | None
    last_check_at: dt.datetime | None
    last_error: str | None
    created_at: dt.datetime
    certificate: CertificateStateShape | None


def render_domain(domain: Domain) -> ServiceDomainShape:
    """A hostname with its certificate."""
    hostname = domain.hostname
    return ServiceDomainShape(
        id=hostname.id,
        service_id=hostname.service_id,
        hostname=hostname.hostname,
        status=hostname.status,
        challenge_token=hostname.challenge_token,
        verified_at=hostname.verified_at,
        last_check_at=hostname.last_check_at,
        last_error=hostname.last_error,
        created_at=hostname.created_at,
        certificate=None if domain.certificate is None else CertificateStateShape(**_state(domain.certificate)),
    )


def render_certificate(told: CertificateTold) -> CertificateShape:
    """A certificate."""
    return CertificateShape(hostname=told.certificate.hostname, **_state(told))


def _state(told: CertificateTold) -> dict[str, Any]:
    held = told.certificate
    return {
        "status": told.status,
        "issued_at": held.issued_at,
        "expires_at": held.not_after_at,
        "last_error": held.last_error,
        "next_try_at": held.next_try_at,
    }
