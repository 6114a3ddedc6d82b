"""What nodes report, as a test decides."""

from __future__ import annotations

from controld.model.report import NodeReport
from wire.link import HostReport


class FakeReports:
    """A `NodeReports` that knows what a test gave it."""

    def __init__(self) -> None:
        self.host: HostReport | None = None
        self.nodes: dict[str, NodeReport] = {}

    def latest_host_report(self) -> HostReport | None:
        return self.host

    async def fetch(self, node_id: str) -> NodeReport | None:
        return self.nodes.get(node_id)
