"""Lists of names: repositories, and tags of one."""

from __future__ import annotations

from controld.api.registry.shapes import Catalog, TagList, read_name, render_catalog_path, render_next, render_path
from controld.core.registry import Registry
from kit.http.surface import Answer, Ask


class TagHandlers:
    """Lists repositories and tags, part by part."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def list_repositories(self, ask: Ask) -> object:
        """A part of the repositories that the caller may pull from, and where the next one is."""
        n = ask.query.n
        page = await self._registry.list_names(ask.caller, after=ask.query.last, limit=n)
        headers = {} if page.last is None else render_next(render_catalog_path(n=n, last=page.last))
        return Answer(200, Catalog(repositories=list(page.items)), headers=headers)

    async def list(self, ask: Ask) -> object:
        """A part of the tags, and where the next one is."""
        name, n = read_name(ask), ask.query.n
        page = await self._registry.list_tags(ask.caller, name, after=ask.query.last, limit=n)
        headers = {} if page.last is None else render_next(render_path(name, "tags", "list", n=n, last=page.last))
        return Answer(200, TagList(name=str(name), tags=list(page.items)), headers=headers)
