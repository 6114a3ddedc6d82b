"""A page is cut from what a store found, and names the next one where there is more."""

from __future__ import annotations

from controld.model.page import Page, Paged


def test_a_page_that_is_not_the_last_names_its_last_item() -> None:
    assert Paged.cut(["d", "c", "b"], Page(limit=2), id_of=str) == Paged(("d", "c"), "c")


def test_the_last_page_leads_nowhere() -> None:
    assert Paged.cut(["d", "c"], Page(limit=2), id_of=str) == Paged(("d", "c"), None)
    assert Paged[str].cut([], Page(limit=2), id_of=str) == Paged((), None)
