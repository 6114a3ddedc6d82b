"""Lines are picked by text and by expressions that no line can make slow."""

from __future__ import annotations

import pytest

from kit.faults import Invalid
from kit.text_filter import MOST_CHARACTERS, make_text_filter


@pytest.mark.parametrize(
    ("contains", "expression", "ignore_case", "line", "held"),
    [
        ("err", "", False, "an error", True),
        ("Err", "", False, "an error", False),
        ("Err", "", True, "an eRRor", True),
        ("straße", "", True, "STRASSE", True),
        ("a.c", "", False, "abc", False),
        ("", r"5\d\d$", False, "status 503", True),
        ("", r"5\d\d$", False, "503 ms", False),
        ("", "ERROR|warn", True, "Warning", True),
        ("", "zürich", True, "ZÜRICH", True),
        ("", "^$", False, "", True),
        ("GET", r" 5\d\d ", False, "GET /x 500 ", True),
        ("GET", r" 5\d\d ", False, "PUT /x 500 ", False),
        ("GET", r" 5\d\d ", False, "GET /x 200 ", False),
        ("\ufffd", "\ufffd", False, "a \ufffd b", True),
    ],
)
def test_a_line_is_held_when_all_that_is_asked_for_is_in_it(
    contains: str, expression: str, ignore_case: bool, line: str, held: bool
) -> None:
    matches = make_text_filter(contains=contains, expression=expression, ignore_case=ignore_case)
    assert matches is not None
    assert matches(line) is held


def test_without_words_there_is_nothing_to_ask() -> None:
    assert make_text_filter(contains="", expression="", ignore_case=True) is None


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("(", "missing \\)"),
        (r"(a)\1", "invalid escape"),
        ("(?=a)", "invalid perl operator"),
        ("(x{100}){100}", "repetition|too large"),
        ("x" * (MOST_CHARACTERS + 1), "characters"),
    ],
)
def test_an_expression_that_is_none_or_too_large_is_refused(expression: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        make_text_filter(contains="", expression=expression, ignore_case=False)


def test_what_takes_others_for_ever_takes_the_length_of_the_line() -> None:
    """A backtracking engine needs 2 to the power of 16,000 steps here; the test's time limit is the measure."""
    matches = make_text_filter(contains="", expression="^(a+)+$", ignore_case=False)
    assert matches is not None
    assert not matches("a" * 16_000 + "!")
    assert matches("a" * 16_000)


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(Invalid, match="characters"):
        make_text_filter(contains="x" * (MOST_CHARACTERS + 1), expression="", ignore_case=False)
