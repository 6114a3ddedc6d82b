"""Hostnames: what is one, which belong to the platform, and the one that each service is given."""

from __future__ import annotations

import datetime as dt
import hashlib
import re

from controld.model.hostname import Hostname, HostnameStatus

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OTHER = re.compile(r"[^a-z0-9]+")
_LABEL_LIMIT = 63
_TOTAL_LIMIT = 253


def find_hostname_problem(text: str) -> str | None:
    """Why the text is no hostname that a service can have, or None."""
    if "." not in text:
        return "it needs at least two labels"
    return find_domain_problem(text)


def find_domain_problem(text: str) -> str | None:
    """Why the text is no domain, which may be a single label such as localhost, or None."""
    if len(text) > _TOTAL_LIMIT:
        return f"it is longer than {_TOTAL_LIMIT} characters"
    labels = text.split(".")
    if any(_LABEL.fullmatch(label) is None for label in labels):
        return "each label is 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
    if labels[-1].isdigit():
        return "it is an address, or ends like one"
    return None


def is_reserved(hostname: str, *, base_domain: str, control_domain: str | None) -> bool:
    """Whether the platform keeps the hostname for itself: its control domain, its base domain and all below that."""
    return hostname in {base_domain, control_domain} or hostname.endswith(f".{base_domain}")


def make_assigned_hostname(service: str, project: str, *, base_domain: str, suffix: str = "") -> str:
    """`<service>-<project>[-<suffix>].<base domain>` ; a label too long ends in a digest of itself."""
    words = [_slug(word) for word in (service, project, suffix)]
    label = "-".join(word for word in words if word) or "service"
    if len(label) > _LABEL_LIMIT:
        digest = hashlib.sha256(label.encode()).hexdigest()[:8]
        label = f"{label[: _LABEL_LIMIT - 9].rstrip('-')}-{digest}"
    return f"{label}.{base_domain}"


def make_hostname(
    name: str, service_id: str, *, hostname_id: str, challenge_token: str, now: dt.datetime, assigned: bool = False
) -> Hostname:
    """A fresh hostname of a service: assigned by the platform and so verified, or waiting for its proof."""
    return Hostname(
        id=hostname_id,
        service_id=service_id,
        hostname=name,
        status=HostnameStatus.VERIFIED if assigned else HostnameStatus.PENDING,
        assigned=assigned,
        challenge_token=challenge_token,
        created_at=now,
        verified_at=now if assigned else None,
    )


def _slug(text: str) -> str:
    return _OTHER.sub("-", text.lower()).strip("-")
