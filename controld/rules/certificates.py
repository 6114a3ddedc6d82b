"""Decides when a certificate is got or renewed, and how long to leave the authority alone after a failure."""

from __future__ import annotations

import datetime as dt
from typing import Final

from controld.model.certificate import Certificate

ACME_PATH: Final = "/.well-known/acme-challenge/"

_PAUSES: Final = tuple(dt.timedelta(minutes=minutes) for minutes in (5, 15, 60, 180, 720))
"""Three tries in the first hour: public authorities take five failed proofs of a host in an hour, and no more."""
_PASSING_PAUSES: Final = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 60))
"""For an authority that cannot be reached, which counts nothing against the host."""
_JITTER: Final = 0.2
_LONGEST: Final = dt.timedelta(days=7)
_LONGEST_ERROR: Final = 1000


def is_due(certificate: Certificate | None, *, now: dt.datetime, renew_before: dt.timedelta) -> bool:
    """Whether to order now: there is none, or less than `renew_before` or a third of its life is left."""
    if certificate is None:
        return True
    if certificate.next_try_at is not None and now < certificate.next_try_at:
        return False
    if certificate.chain_pem is None or certificate.not_after_at is None or certificate.not_before_at is None:
        return True
    life = certificate.not_after_at - certificate.not_before_at
    return certificate.not_after_at - now <= min(renew_before, life / 3)


def compute_pause(
    failures: int, *, jitter: float, passing: bool = False, retry_after: dt.timedelta | None = None
) -> dt.timedelta:
    """How long to wait after so many failures in a row, never less than the authority asks for.

    `passing` ones are of the authority's own making. `jitter` is from 0 to 1; it adds up to a fifth, so that hosts that
    failed together do not come back together.
    """
    pauses = _PASSING_PAUSES if passing else _PAUSES
    pause = pauses[min(max(failures, 1), len(pauses)) - 1]
    asked = min(max(retry_after or dt.timedelta(), dt.timedelta()), _LONGEST)
    return max(pause, asked) * (1 + _JITTER * jitter)


def hurry(certificate: Certificate, *, now: dt.datetime) -> dt.datetime | None:
    """When a person's word may have the next try, soonest; None where it would change nothing.

    Never before the authority wants to be asked, nor within five minutes of the last try.
    """
    if not certificate.failures or certificate.next_try_at is None or certificate.last_try_at is None:
        return None
    soonest = max(now, certificate.last_try_at + _PAUSES[0], certificate.barred_until_at or now)
    return soonest if soonest < certificate.next_try_at else None


def shorten_error(text: str) -> str:
    """The authority's words in one line, as much as a person reads."""
    return " ".join(text.split())[:_LONGEST_ERROR]
