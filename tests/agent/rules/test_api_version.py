"""The version of the engine's API, by example."""

from __future__ import annotations

import pytest

from agent.rules.api_version import choose_api_version


@pytest.mark.parametrize(
    ("highest", "lowest", "chosen"),
    [
        ("1.41", "1.12", "1.41"),
        ("1.47", "1.24", "1.47"),
        ("1.52", "1.44", "1.52"),
        ("1.60", "1.44", "1.52"),
        ("2.1", "1.55", "1.55"),
        ("1.40", "1.12", None),
    ],
    ids=["20.10", "27", "29", "newer", "much newer", "19.03"],
)
def test_the_newest_version_that_both_know_is_spoken(highest: str, lowest: str, chosen: str | None) -> None:
    assert choose_api_version(highest, lowest) == chosen
