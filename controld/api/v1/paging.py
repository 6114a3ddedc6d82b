"""Long lists in pages: the query that asks for one, and the `Link` header that leads to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final, TypeVar

import msgspec

from controld.api.v1.shapes import Id
from controld.model.page import Page, Paged
from kit.http.surface import Answer, Ask
from wire.base import Lenient

T = TypeVar("T")

LINK: Final[Mapping[str, str]] = {"Link": 'Where the next page is, with `rel="next"`; absent on the last.'}
"""What the route of a paged list says of its headers."""


class PageQuery(Lenient, frozen=True):
    """Which part of a list is asked for, newest first; the header `Link` of the answer names the next part."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200
    """Most items of the answer."""
    before: Id | None = None
    """The id of the last item of the part before; absent: from the newest on."""


def read_page(query: PageQuery) -> Page:
    """The page that the query asks for."""
    return Page(limit=query.limit, before=None if query.before is None else str(query.before))


def answer_page(ask: Ask, paged: Paged[T], render: Callable[[T], object]) -> Answer:
    """The items as a JSON array; the rest of the query goes into the link as it is."""
    headers = {}
    if paged.next_before is not None:
        link = ask.request.rel_url.update_query(before=paged.next_before)
        headers["Link"] = f'<{link}>; rel="next"'
    return Answer(200, [render(item) for item in paged.items], headers)
