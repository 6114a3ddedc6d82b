"""Tags of a repository."""

from __future__ import annotations

from controld.api.registry.shapes import TagList, read_name, render_next, render_path
from controld.core.registry import Registry
from kit.http.surface import Answer, Ask


class TagHandlers:
    """Lists tags."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def list(self, ask: Ask) -> object:
        """A part of the tags, and where the next one is."""
        name, n = read_name(ask), ask.query.n
        page = await self._registry.list_tags(ask.caller, name, after=ask.query.last, limit=n)
        headers = {} if page.last is None else render_next(render_path(name, "tags", "list", n=n, last=page.last))
        return Answer(200, TagList(name=str(name), tags=list(page.items)), headers=headers)
