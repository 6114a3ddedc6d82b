"""When a certificate is ordered, and how long an authority is left alone after a failure."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.model.certificate import Certificate, CertificateStatus
from controld.rules.certificates import compute_pause, is_due, shorten_error
from tests.controld.store.rows import NOW

MONTH = dt.timedelta(days=30)


def held(*, left_days: float, life_days: float = 90) -> Certificate:
    return Certificate(
        hostname="a.test",
        created_at=NOW,
        chain_pem="chain",
        key_ref="ref",
        not_before_at=NOW + dt.timedelta(days=left_days - life_days),
        not_after_at=NOW + dt.timedelta(days=left_days),
    )


@pytest.mark.parametrize(
    ("certificate", "due"),
    [
        (None, True),
        (Certificate(hostname="a.test", created_at=NOW), True),
        (Certificate(hostname="a.test", created_at=NOW, next_try_at=NOW + MONTH), False),
        (Certificate(hostname="a.test", created_at=NOW, next_try_at=NOW), True),
        (held(left_days=31), False),
        (held(left_days=30), True),
        (held(left_days=-1), True),
        (held(left_days=3, life_days=6), False),
        (held(left_days=2, life_days=6), True),
    ],
)
def test_a_certificate_is_due_without_one_and_near_its_end(certificate: Certificate | None, due: bool) -> None:
    assert is_due(certificate, now=NOW, renew_before=MONTH) == due


def test_no_host_is_tried_more_than_three_times_in_its_first_hour() -> None:
    pauses = [compute_pause(failures, jitter=0) for failures in range(1, 10)]
    tries = [sum(pauses[:n], dt.timedelta()) for n in range(9)]
    assert sum(moment <= dt.timedelta(hours=1) for moment in tries) == 3
    assert pauses == sorted(pauses)
    assert pauses[-1] == dt.timedelta(hours=12)


@given(
    failures=st.integers(min_value=0, max_value=1000),
    jitter=st.floats(min_value=0, max_value=1),
    asked=st.integers(min_value=-5, max_value=500_000),
)
def test_the_authority_is_never_asked_before_it_wants_to_be(failures: int, jitter: float, asked: int) -> None:
    pause = compute_pause(failures, jitter=jitter, retry_after=dt.timedelta(seconds=asked))
    assert pause >= dt.timedelta(seconds=asked)
    assert dt.timedelta(minutes=5) <= pause <= dt.timedelta(days=8.5)


def test_an_authority_that_cannot_be_reached_is_tried_again_sooner() -> None:
    pauses = [compute_pause(failures, jitter=0, passing=True) for failures in range(1, 10)]
    assert pauses[0] == dt.timedelta(minutes=1)
    assert pauses[-1] == dt.timedelta(hours=1)
    assert pauses == sorted(pauses)


def test_hosts_that_failed_together_do_not_come_back_together() -> None:
    assert compute_pause(1, jitter=0.9) > compute_pause(1, jitter=0.1)


def test_the_status_says_what_is_held_now() -> None:
    bare = Certificate(hostname="a.test", created_at=NOW)
    assert bare.status(NOW) is CertificateStatus.PENDING
    failed = Certificate(hostname="a.test", created_at=NOW, failures=1)
    assert failed.status(NOW) is CertificateStatus.FAILED
    assert held(left_days=1).status(NOW) is CertificateStatus.ISSUED
    assert held(left_days=1).status(NOW + 2 * MONTH) is CertificateStatus.EXPIRED


def test_an_authoritys_words_fit_on_a_row() -> None:
    assert shorten_error("a\n  b\tc") == "a b c"
    assert len(shorten_error("x" * 10_000)) == 1000
