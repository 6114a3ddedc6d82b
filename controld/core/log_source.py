"""One node's part of a service's log: where it has been read to, and how it is asked for what follows."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator
from contextlib import aclosing

from controld.core.faults import NodeFault
from controld.core.ports import Agents
from controld.model.node import Node
from controld.rules.log_cursor import node_key
from wire.agent.logs import LogLine, LogQuery, LogRecord

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class LogSource:
    """Reads one node; `read_to` is the agent's cursor behind the last line that was read, None before the first.

    Without one it begins at `since`, or with the last `tail` lines; once the node has told that there is nothing to
    begin with, everything is new.
    """

    def __init__(
        self,
        node: Node,
        agents: Agents,
        *,
        service_id: str,
        read_to: str | None = None,
        since: dt.datetime | None = None,
        tail: int | None = None,
    ) -> None:
        self.node = node
        self.key = node_key(node.id)
        self.read_to = read_to
        self.said: str | None = None
        """What was last said of its failure; None while it answers."""
        self._agents = agents
        self._service_id = service_id
        self._since = since
        self._tail = tail

    async def read(self, *, follow: bool) -> AsyncGenerator[LogRecord]:
        """The records behind the place; without `follow` up to now."""
        resumed = self.read_to is not None
        query = LogQuery(
            service_id=self._service_id,
            tail=None if resumed else self._tail,
            since=None if resumed else self._since,
            after=self.read_to,
            follow=follow,
        )
        try:
            async with aclosing(self._agents.read_logs(self.node, query)) as records:
                async for record in records:
                    if isinstance(record, LogLine):
                        self.read_to = record.id
                    yield record
        except NodeFault as fault:
            if fault.remote_code == "bad_cursor":
                # Not a place in this node's logs, whoever made it up: begin anew rather than never.
                self.read_to = None
            raise
        if not follow:
            # It has told what there was to begin with: when that was nothing, everything is new.
            self._tail = None
            self._since = self._since or _EPOCH
