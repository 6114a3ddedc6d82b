"""How long services were asked for nothing, by the word of every node whose ingress leads to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from controld.core.places import ask_all
from controld.core.ports import Agents, Database, NodeStore
from controld.model.node import Node
from kit.clock import Clock

_ANSWER_SECONDS: Final = 5.0


class Idleness:
    """Remembers when each service was last seen to be asked for something.

    What was never looked at begins with this moment, so that a restart puts off what follows from being idle. Nodes
    that carry `leading_label`, or all without one, lead to every service.
    """

    def __init__(
        self,
        *,
        database: Database,
        nodes: NodeStore,
        agents: Agents,
        clock: Clock,
        leading_label: tuple[str, str] | None,
    ) -> None:
        self._database = database
        self._nodes = nodes
        self._agents = agents
        self._clock = clock
        self._leading_label = leading_label
        self._active_at: dict[str, float] = {}

    async def look(self, homes: Mapping[str, Collection[str]]) -> Mapping[str, float]:
        """Seconds by service; `homes` are the nodes where each runs, and what it leaves out is forgotten.

        A service is left out of the answer while any node that may lead to it does not tell.
        """
        self._active_at = {key: moment for key, moment in self._active_at.items() if key in homes}
        if not homes:
            return {}
        async with self._database.read() as tx:
            nodes = await self._nodes.list(tx)
        leading = {node.id for node in nodes if self._leads(node)}
        running = {node_id for found in homes.values() for node_id in found}
        answers, silent = await ask_all(
            [node for node in nodes if node.id in leading or node.id in running],
            self._agents.fetch_activity,
            limit_seconds=_ANSWER_SECONDS,
        )
        now = self._clock.monotonic()
        for service_id in homes:
            self._active_at.setdefault(service_id, now)
        for answer in answers.values():
            for told in answer.services:
                if told.service_id in homes:
                    last = now if told.open_requests else now - told.idle_seconds
                    self._active_at[told.service_id] = max(self._active_at[told.service_id], last)
        return {
            service_id: now - self._active_at[service_id]
            for service_id, found in homes.items()
            if not silent.keys() & {*leading, *found}
        }

    def _leads(self, node: Node) -> bool:
        return self._leading_label is None or node.labels.get(self._leading_label[0]) == self._leading_label[1]
