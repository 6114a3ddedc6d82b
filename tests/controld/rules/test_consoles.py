"""Sizes, origins, and which consoles give way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.rules.consoles import Standing, allows_origin, clamp_size, pick_to_give_way


@pytest.mark.parametrize(
    ("asked", "given_"),
    [((0, -5), (1, 1)), ((300, 120), (300, 120)), ((301, 99_999), (300, 120)), ((80, 24), (80, 24))],
)
def test_a_size_is_one_that_terminals_have(asked: tuple[int, int], given_: tuple[int, int]) -> None:
    assert clamp_size(*asked) == given_


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        (None, "moorage.example", True),
        ("https://moorage.example", "moorage.example", True),
        ("https://moorage.example:443", "moorage.example", True),
        ("https://moorage.example", "moorage.example:443", True),
        ("http://127.0.0.1:7180", "127.0.0.1:7180", True),
        ("http://[::1]:7180", "[::1]:7180", True),
        ("https://MOORAGE.example", "moorage.example", True),
        ("https://moorage.example:8443", "moorage.example", False),
        ("https://moorage.example.evil", "moorage.example", False),
        ("https://evil@moorage.example", "moorage.example", False),
        ("https://evil/moorage.example", "moorage.example", False),
        ("file://moorage.example", "moorage.example", False),
        ("http://x:99999999", "moorage.example", False),
        ("null", "null", False),
        ("", "moorage.example", False),
        ("https://panel.example", "moorage.example", True),
        ("http://panel.example", "moorage.example", False),
        ("http://control.example", "moorage.example", True),
        ("https://control.example", "moorage.example", True),
    ],
)
def test_pages_of_our_own_host_may_connect_and_those_that_are_named(origin: str | None, host: str, may: bool) -> None:
    assert allows_origin(origin, host=host, more=("https://panel.example", "control.example")) is may


def standing(number: int, service: str, *, holder: str = "ada", detached: float | None = None) -> Standing:
    return Standing(session_id=f"c-{number}", service_id=service, holder=holder, detached_at=detached)


def test_one_that_lost_its_client_gives_way_the_holders_own_first_and_the_longest_gone() -> None:
    present = [
        standing(1, "a", holder="eve", detached=1.0),
        standing(2, "a", detached=3.0),
        standing(3, "b", detached=2.0),
    ]

    def pick(**limits: int) -> tuple[bool, list[str]]:
        return pick_to_give_way(present, service_id="a", holder="ada", **limits)

    assert pick(at_once=9, per_service=3) == (True, [])
    assert pick(at_once=9, per_service=2) == (True, ["c-2"])
    assert pick(at_once=9, per_service=1) == (True, ["c-2", "c-1"])
    assert pick(at_once=3, per_service=9) == (True, ["c-3"])
    assert pick(at_once=2, per_service=2) == (True, ["c-2", "c-3"])


def test_one_with_its_client_never_gives_way() -> None:
    present = [standing(1, "a"), standing(2, "b", detached=1.0)]
    assert pick_to_give_way(present, service_id="a", holder="ada", at_once=9, per_service=1) == (False, [])
    assert pick_to_give_way(present, service_id="c", holder="ada", at_once=1, per_service=1) == (False, [])


@given(
    present=st.lists(
        st.builds(
            standing,
            st.integers(),
            st.sampled_from("ab"),
            holder=st.sampled_from(["ada", "eve"]),
            detached=st.none() | st.floats(0, 9),
        ),
        unique_by=lambda each: each.session_id,
        max_size=8,
    ),
    at_once=st.integers(1, 6),
    per_service=st.integers(1, 4),
)
def test_the_limits_hold_and_no_more_gives_way_than_has_to(
    present: list[Standing], at_once: int, per_service: int
) -> None:
    has_room, going = pick_to_give_way(present, service_id="a", holder="ada", at_once=at_once, per_service=per_service)
    left = [each for each in present if each.session_id not in going]
    connected = [each for each in present if each.detached_at is None]
    if not has_room:
        assert going == []
        assert len(connected) >= at_once or sum(each.service_id == "a" for each in connected) >= per_service
        return
    assert all(each in left for each in connected)
    assert len(left) < max(at_once, 1)
    assert sum(each.service_id == "a" for each in left) < per_service
