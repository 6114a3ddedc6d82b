"""Pages point at things that exist."""

from __future__ import annotations

import re

from tests.house.tree import ROOT, list_files, name_of

_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def test_every_link_to_a_file_leads_somewhere() -> None:
    broken = [
        f"{name_of(page)}: {target}"
        for page in list_files("*.md")
        for target in _LINK.findall(page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_decisions_are_numbered_without_gaps_or_doubles() -> None:
    names = [path.name for path in list_files("docs/decisions/*.md") if path.name != "README.md"]
    numbers = [int(name.partition("-")[0]) for name in names]
    assert numbers == list(range(len(numbers)))


def test_the_page_of_changes_opens_with_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "changes.md").read_text(), flags=re.MULTILINE)
    assert re.fullmatch(r"Unreleased \(since \d{4}-\d{2}-\d{2}\)", headings[0])
