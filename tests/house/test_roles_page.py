"""The page of roles says what the code does."""

from __future__ import annotations

from tests.house.roles_page import PAGE, render_page


def test_the_page_of_roles_is_rendered_from_the_route_tables_and_the_permissions() -> None:
    assert PAGE.read_text() == render_page(), "run scripts/docs"
