"""How projects and services are called in image references."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controld.rules.registry_names import find_id_end, is_part, make_part, make_repository_name

_ID = "0193a000-0000-7000-8000-0123456789ab"
_OTHER_ID = "0193a000-0000-7000-8000-ba9876543210"
_ALLOWED = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("web", "web"),
        ("my.app_2--x", "my.app_2--x"),
        ("Web", "web-0123456789ab"),
        ("My Shop", "my-shop-0123456789ab"),
        ("web-", "web-0123456789ab"),
        ("_", "0123456789ab"),
        ("店", "0123456789ab"),
        ("a___b", "a-b-0123456789ab"),
        ("web-ba9876543210", "web-ba9876543210-0123456789ab"),
        ("x" * 101, "x" * 87 + "-0123456789ab"),
    ],
)
def test_a_name_as_a_part_of_a_repository_name(name: str, part: str) -> None:
    assert make_part(name, id=_ID) == part


def test_a_repository_is_called_by_project_and_service() -> None:
    assert make_repository_name("shop", "Web", project_id=_ID, service_id=_OTHER_ID) == "shop/web-ba9876543210"


@given(st.text(min_size=1, max_size=255))
def test_every_name_makes_a_part_that_image_references_allow(name: str) -> None:
    part = make_part(name, id=_ID)
    assert _ALLOWED.fullmatch(part)
    assert is_part(part)
    assert len(part) <= 100


_NAMES = st.text(alphabet="aB-_ .01", min_size=1, max_size=20) | st.sampled_from(
    ["web", "Web", "web-ba9876543210", "web-0123456789ab", "WEB-ba9876543210"]
)


@given(_NAMES, _NAMES)
def test_two_names_never_make_one_part(one: str, other: str) -> None:
    assume(one != other)
    assert make_part(one, id=_ID) != make_part(other, id=_OTHER_ID)


@given(_NAMES)
def test_a_part_tells_the_name_or_the_end_of_the_id_to_look_for(name: str) -> None:
    part = make_part(name, id=_ID)
    end = find_id_end(part)
    assert (part == name) if end is None else _ID.endswith(end)
