"""The part that counts the images on nodes and has them collected."""

from __future__ import annotations

from controld.core.audit import Audit
from controld.core.image_cache import ImageCaches
from controld.core.ports import Agents, NodeStore
from controld.settings import Settings
from controld.store.artifacts import ArtifactStore
from controld.store.engine import Database
from controld.store.facts import FactStore
from kit.clock import Clock


def make_image_caches(
    settings: Settings, *, database: Database, nodes: NodeStore, agents: Agents, audit: Audit, clock: Clock
) -> ImageCaches:
    """The part over a database, the nodes and their agents."""
    return ImageCaches(
        database=database,
        nodes=nodes,
        artifacts=ArtifactStore(),
        facts=FactStore(),
        agents=agents,
        audit=audit,
        clock=clock,
        retention_seconds=settings.image_cache_retention_seconds,
    )
