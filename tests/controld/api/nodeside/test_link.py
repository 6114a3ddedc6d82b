"""The link between a real node side and a real agent's end of it, over TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.model.identity import LinkPhase
from controld.core.node_specs import CurrentSpec
from controld.model.caller import SETUP_CALLER
from controld.model.node import NodeState
from controld.store.engine import Database
from kit.tasks import Tasks
from tests.nodeside import BEAT_SECONDS, AgentSide, NodeSide, make_agent, node_side
from tests.waiting import eventually
from wire.link import HostReport, ReplicaReport, ReplicaState

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
REPLICA = ReplicaReport(id="r-1", state=ReplicaState.HEALTHY, since_at=AT)
HOST = HostReport(
    cpu_user_jiffies=1,
    cpu_nice_jiffies=1,
    cpu_system_jiffies=1,
    cpu_idle_jiffies=1,
    cpu_iowait_jiffies=1,
    cpu_count=2,
    memory_total_bytes=1,
    memory_available_bytes=1,
    load_1m=0,
    load_5m=0,
    load_15m=0,
    disk_total_bytes=1,
    disk_available_bytes=1,
    recorded_at=AT,
)


@pytest.fixture
async def side(database: Database, tmp_path: Path) -> AsyncIterator[NodeSide]:
    async with node_side(database, tmp_path / "authority") as running:
        yield running


@pytest.fixture
async def agent(side: NodeSide, tmp_path: Path) -> AgentSide:
    machine = make_agent(tmp_path / "agent")
    await machine.enrolment.enrol(await side.token(), name="vm1", port=7190)
    return machine


async def state_of(side: NodeSide) -> NodeState:
    (node,) = await side.nodes.list(SETUP_CALLER)
    return node.state


async def spec_of(side: NodeSide, agent: AgentSide) -> CurrentSpec:
    identity = await agent.enrolment.load()
    return await side.specs.current(identity.node_id)


async def test_a_node_is_joining_until_its_first_heartbeat_and_then_ready_and_gets_its_spec(
    side: NodeSide, agent: AgentSide
) -> None:
    assert await state_of(side) is NodeState.JOINING

    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        current = await spec_of(side, agent)
        await eventually(lambda: agent.sink.accepted)

        assert agent.sink.accepted[0] == (current.spec, current.digest)
        (node,) = await side.nodes.list(SETUP_CALLER)
        assert (node.state, node.agent_version) == (NodeState.READY, "test")
        assert node.heard_at is not None


async def test_what_a_node_says_is_remembered_part_by_part_told_and_written_behind(
    side: NodeSide, agent: AgentSide
) -> None:
    identity = await agent.enrolment.load()
    told = side.database.feed.watch("report")
    agent.observations.observed = dataclasses.replace(agent.observations.observed, replicas=(REPLICA,), host=HOST)
    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        assert {change.id for change in await told.next()} == {identity.node_id}
        await asyncio.sleep(2 * BEAT_SECONDS)
        report = await side.reports.fetch(identity.node_id)
    assert report is not None
    assert (report.replicas, report.host) == ((REPLICA,), HOST)
    assert side.reports.latest_host_report() == HOST

    await side.reports.flush()
    kept = await side.reports.fetch(identity.node_id)
    assert kept is not None
    assert (kept.replicas, kept.host, kept.agent_version) == ((REPLICA,), HOST, "test")


async def test_a_spec_that_changes_is_pushed_at_once(side: NodeSide, agent: AgentSide) -> None:
    current = await spec_of(side, agent)
    agent.observations.observed = dataclasses.replace(agent.observations.observed, applied_digest=current.digest)
    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        assert agent.sink.accepted == []
        await place_replica(side, (await agent.enrolment.load()).node_id)

        await eventually(lambda: agent.sink.accepted, seconds=BEAT_SECONDS / 2)

        assert [replica.id for replica in agent.sink.accepted[0][0].replicas] == [REPLICA_ID]


async def test_a_removed_node_loses_its_link_and_gets_no_other(side: NodeSide, agent: AgentSide) -> None:
    identity = await agent.enrolment.load()
    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        await side.nodes.remove(SETUP_CALLER, identity.node_id, force=False)
        await eventually(lambda: link.standing.phase is LinkPhase.DOWN)
        assert "removed" in (link.standing.fault or "")
        assert len(side.links) == 0

    async with agent.linked() as link:
        await eventually(lambda: link.standing.fault is not None)
        assert "403" in (link.standing.fault or "")
    assert await side.nodes.list(SETUP_CALLER) == []


async def test_a_second_link_of_a_node_ends_the_first(side: NodeSide, agent: AgentSide) -> None:
    async with agent.linked() as first:
        await eventually(lambda: first.standing.phase is LinkPhase.UP)
        async with agent.linked() as second:
            await eventually(lambda: second.standing.phase is LinkPhase.UP)
            await eventually(lambda: "another link" in (first.standing.fault or ""))
            assert len(side.links) == 1


async def test_a_node_that_falls_silent_is_suspect_then_lost_and_ready_once_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    async with node_side(database, tmp_path / "authority", lost_seconds=3) as side:
        agent = make_agent(tmp_path / "agent")
        await agent.enrolment.enrol(await side.token(), name="vm1", port=7190)
        async with agent.linked() as link:
            await eventually(lambda: link.standing.phase is LinkPhase.UP)
        seen: list[NodeState] = []

        async def is_lost() -> bool:
            state = await state_of(side)
            if state not in seen:
                seen.append(state)
            return state is NodeState.LOST

        await eventually(is_lost)
        assert seen == [NodeState.READY, NodeState.SUSPECT, NodeState.LOST]

        async with agent.linked() as link:
            await eventually(lambda: link.standing.phase is LinkPhase.UP)
            assert await state_of(side) is NodeState.READY


async def test_a_clock_that_jumps_makes_no_node_suspect(side: NodeSide, agent: AgentSide) -> None:
    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        for hours in (48, -48):
            side.clock.offset = dt.timedelta(hours=hours)
            await asyncio.sleep(4 * BEAT_SECONDS)
            assert await state_of(side) is NodeState.READY
            assert link.standing.phase is LinkPhase.UP


async def test_a_restarted_controld_meets_its_nodes_again_and_forgets_nothing(
    database: Database, tmp_path: Path
) -> None:
    agent = make_agent(tmp_path / "agent")
    agent.observations.observed = dataclasses.replace(agent.observations.observed, replicas=(REPLICA,), host=HOST)
    async with node_side(database, tmp_path / "authority") as side:
        await agent.enrolment.enrol(await side.token(), name="vm1", port=7190)
        tasks = Tasks("agent")
        link = agent.link()
        tasks.start("link", link.run())
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        await side.reports.flush()
        port = side.port
    await eventually(lambda: link.standing.phase is not LinkPhase.UP)

    async with node_side(database, tmp_path / "authority", port=port) as side:
        assert side.reports.latest_host_report() == HOST
        assert await state_of(side) is NodeState.READY
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        await tasks.close()


async def test_a_link_through_a_proxy_that_goes_silent_is_given_up_on_both_sides_and_healed(
    side: NodeSide, agent: AgentSide
) -> None:
    proxy = SilentProxy(side.port)
    await proxy.start()
    try:
        async with agent.linked(control_url=f"https://127.0.0.1:{proxy.port}") as link:
            await eventually(lambda: link.standing.phase is LinkPhase.UP)
            await asyncio.sleep(BEAT_SECONDS)
            proxy.is_silent = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            await eventually(lambda: link.standing.phase is not LinkPhase.UP)
            # Two beats by design; the third is for a busy machine.
            assert loop.time() - began < 3 * BEAT_SECONDS
            await eventually(lambda: len(side.links) == 0)

            proxy.is_silent = False
            await eventually(lambda: link.standing.phase is LinkPhase.UP)
    finally:
        await proxy.close()


class SilentProxy:
    """Forwards TCP to a port; while silent it accepts and keeps everything and passes nothing on."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._tasks = Tasks("proxy")
        self._listener: asyncio.Server | None = None
        self.is_silent = False
        self.port = 0

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        await self._tasks.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", self._target)
        self._tasks.start("up", self._pump(reader, ahead))
        self._tasks.start("down", self._pump(behind, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        muted = False
        try:
            while data := await reader.read(65536):
                muted = muted or self.is_silent
                if not muted:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


REPLICA_ID = "00000000-0000-7000-8000-0000000000f1"


async def place_replica(side: NodeSide, node_id: str) -> None:
    """Write what a deployment writes: a replica of a service on the node."""
    from sqlalchemy import select

    from controld.store.tables import deployments, projects, replicas, services

    service_id, deployment_id = REPLICA_ID[:-2] + "a1", REPLICA_ID[:-2] + "d1"
    async with side.database.write() as tx:
        project_id = (await tx.execute(select(projects.c.id))).scalar_one()
        await tx.execute(
            services.insert().values(
                id=service_id,
                project_id=project_id,
                name="web",
                source={},
                internal_port=80,
                health_path="/",
                health_timeout_seconds=5,
                env=[],
                domains=[],
                tls_enabled=False,
                endpoints=[],
                created_at=AT,
                updated_at=AT,
            )
        )
        await tx.execute(
            deployments.insert().values(
                id=deployment_id,
                service_id=service_id,
                number=1,
                request={},
                status="Starting",
                created_at=AT,
                phase_at=AT,
                attempts=0,
            )
        )
        config = {
            "id": REPLICA_ID,
            "service_id": service_id,
            "deployment_id": deployment_id,
            "project": "default",
            "service": "web",
            "index": 0,
            "image": "x",
            "origin": "local",
            "port": 80,
            "health": {"path": "/", "timeout_seconds": 5},
            "limits": {"cpu_millis": 100, "memory_bytes": 1},
        }
        await tx.execute(
            replicas.insert().values(
                id=REPLICA_ID,
                service_id=service_id,
                deployment_id=deployment_id,
                node_id=node_id,
                index=0,
                config=config,
                wanted="running",
                created_at=AT,
            )
        )
        tx.announce("node", node_id)
