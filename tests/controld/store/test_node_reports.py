"""Reports in batches, the same on both databases."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.model.report import NodeReport
from controld.store.engine import Database
from controld.store.node_reports import NodeReportStore
from controld.store.nodes import NodeStore
from tests.controld.store.test_nodes import NODE, NOW
from wire.link import Part, ReplicaReport, ReplicaState

LATER = NOW + dt.timedelta(seconds=5)


async def test_a_report_is_read_as_it_was_written_and_a_newer_one_takes_its_place(either_database: Database) -> None:
    store, nodes = NodeReportStore(), NodeStore()
    others = [dataclasses.replace(NODE, id=f"{NODE.id[:-1]}{n}", name=f"vm{n}") for n in range(3)]
    first = [NodeReport(node_id=node.id, heard_at=NOW) for node in others]
    newer = NodeReport(
        node_id=others[1].id,
        heard_at=LATER,
        applied_digest="sha256:a",
        converged=True,
        wire_version=1,
        agent_version="1",
        replicas=(ReplicaReport(id="r-1", state=ReplicaState.HEALTHY, since_at=NOW, last_lines=("a",)),),
        engine=Part(ok=True, detail="20.10"),
    )
    async with either_database.write() as tx:
        for node in others:
            await nodes.add(tx, node)
        await store.save(tx, first)
        await store.save(tx, [newer])
        await store.touch(tx, [(others[0].id, LATER), (others[2].id, NOW)])

    async with either_database.read() as tx:
        assert await store.list(tx) == [first[0], newer, first[2]]
        assert await store.list(tx, after=others[0].id, limit=1) == [newer]
        assert await store.get(tx, newer.node_id) == newer
        assert await store.newest(tx) == newer
        assert await store.get(tx, "nobody") is None
        heard = [node.heard_at for node in await nodes.list(tx)]
    assert heard == [LATER, None, NOW]
