"""What names, passwords and limits may be."""

from __future__ import annotations

import pytest

from controld.rules.validation import BOOTSTRAP_PASSWORD_BYTES, check_limits, check_password, check_title
from kit.faults import Invalid


@pytest.mark.parametrize("title", ["", "  ", "\t", "a\nb", "a" * 256])
def test_a_title_is_not_blank_nor_endless_nor_broken(title: str) -> None:
    with pytest.raises(Invalid):
        check_title(title, what="name")


def test_a_password_is_measured_in_bytes() -> None:
    check_password("ü" * 6)
    check_password("a" * 8, least_bytes=BOOTSTRAP_PASSWORD_BYTES)
    for bad in ("a" * 11, "a" * 1025):
        with pytest.raises(Invalid):
            check_password(bad)


def test_absent_limits_are_fine() -> None:
    check_limits(None)
