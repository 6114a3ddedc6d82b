"""The images that nodes hold of ours: counted over all nodes, and removed where nothing needs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

import msgspec

from controld.core.audit import Audit
from controld.core.faults import NodeOffline
from controld.core.places import ask_all
from controld.core.ports import Agents, Database, FactStore, NodeStore
from controld.core.ports_deployments import ArtifactStore
from controld.model.caller import Caller
from controld.model.image_cache import CacheCollection, CacheStatus
from controld.model.node import Node, NodeState
from controld.rules.access import check
from kit.clock import Clock
from wire.agent.images import ImageCache, KeptImage, SweepAsked, SweepDone

_LAST: Final = "image_cache_collection"
_STATUS_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 120.0
_ABSENT: Final = frozenset({NodeState.JOINING, NodeState.LOST, NodeState.REMOVED})


class ImageCaches:
    """Asks every node that is there.

    An image goes when it is no kept artifact's, its node has no use for it, and has had none for `retention_seconds`.
    """

    def __init__(
        self,
        *,
        database: Database,
        nodes: NodeStore,
        artifacts: ArtifactStore,
        facts: FactStore,
        agents: Agents,
        audit: Audit,
        clock: Clock,
        retention_seconds: float,
    ) -> None:
        self._database = database
        self._nodes = nodes
        self._artifacts = artifacts
        self._facts = facts
        self._agents = agents
        self._audit = audit
        self._clock = clock
        self._retention_seconds = retention_seconds

    async def get_status(self, caller: Caller) -> CacheStatus:
        """Sums over the nodes, for whoever has a role in some project."""
        check(caller, "cache.status")
        nodes, absent = await self._list_nodes()
        answers, silent = await ask_all(nodes, self._agents.fetch_images, limit_seconds=_STATUS_SECONDS)
        return await self._sum(answers.values(), silent=len(silent) + absent)

    async def collect(self, caller: Caller) -> tuple[CacheStatus, CacheCollection]:
        """Remove what nothing needs from every node; raises NodeOffline when there are nodes and none answers."""
        check(caller, "cache.collect")
        nodes, absent = await self._list_nodes()
        async with self._database.read() as tx:
            kept = [KeptImage(image=each.image, origin=each.origin) for each in await self._artifacts.list_images(tx)]
        asked = SweepAsked(kept=tuple(kept), idle_seconds=self._retention_seconds)
        answers, silent = await ask_all(
            nodes, lambda node: self._agents.sweep_images(node, asked), limit_seconds=_SWEEP_SECONDS
        )
        if silent and not answers:
            raise NodeOffline(f"cannot remove images: {next(iter(silent.values()))}")
        done = self._add_up(answers.values())
        async with self._database.write() as tx:
            await self._facts.put(tx, _LAST, msgspec.to_builtins(done))
            await self._audit.record(
                tx,
                caller,
                action="image_cache.collect",
                object_kind="image_cache",
                details={"deleted_entries": done.deleted_entries, "deleted_bytes": done.deleted_bytes},
            )
        status = await self._sum((answer.cache for answer in answers.values()), silent=len(silent) + absent)
        return status, done

    async def _list_nodes(self) -> tuple[list[Node], int]:
        """The nodes to ask, and how many there are beside them."""
        async with self._database.read() as tx:
            found = await self._nodes.list(tx)
        there = [node for node in found if node.state not in _ABSENT]
        return there, len(found) - len(there)

    async def _sum(self, caches: Iterable[ImageCache], *, silent: int) -> CacheStatus:
        async with self._database.read() as tx:
            last = await self._facts.get(tx, _LAST)
        known = list(caches)
        return CacheStatus(
            entries=sum(each.entries for each in known),
            total_bytes=sum(each.total_bytes for each in known),
            oldest_at=min((each.oldest_at for each in known if each.oldest_at is not None), default=None),
            nodes=len(known),
            silent_nodes=silent,
            at=self._clock.now(),
            last=None if last is None else msgspec.convert(last, CacheCollection),
        )

    def _add_up(self, answers: Iterable[SweepDone]) -> CacheCollection:
        done = CacheCollection(at=self._clock.now(), deleted_entries=0, deleted_bytes=0)
        for answer in answers:
            done = dataclasses.replace(
                done,
                deleted_entries=done.deleted_entries + answer.deleted,
                deleted_bytes=done.deleted_bytes + answer.deleted_bytes,
                scanned_entries=done.scanned_entries + answer.scanned,
                kept_in_use_entries=done.kept_in_use_entries + answer.kept_in_use,
                kept_recent_entries=done.kept_recent_entries + answer.kept_recent,
            )
        return done
