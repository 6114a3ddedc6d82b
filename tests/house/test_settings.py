"""Every setting of a daemon is written down for the people who set it."""

from __future__ import annotations

from tests.house.settings_page import render_page
from tests.house.tree import ROOT


def test_the_page_of_settings_says_what_the_daemons_declare() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == render_page(), "run scripts/docs"
