"""A node for tests of the convergence: fakes around it, and time that passes when the test says so."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from agent.core.convergence import Convergence
from agent.core.specs import Specs
from agent.loops.watcher import Watcher
from agent.model import labels
from agent.model.engine import Container
from agent.model.ingress import ServerState
from kit.tasks import Tasks
from tests.agent.rules.world import NODE
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from tests.fakes.ingress import FakeIngress
from tests.fakes.probe import FakeProbe
from tests.fakes.spec_file import FakeSpecFile
from wire.link import Happening, ReplicaReport
from wire.spec import NodeSpec, compute_digest


class Node:
    """One agent's convergence between a fake engine, a fake proxy and fake health checks."""

    def __init__(self, before: Node | None = None) -> None:
        self.clock: FakeClock = before.clock if before else FakeClock()
        self.engine: FakeEngine = before.engine if before else FakeEngine(NODE, clock=self.clock)
        self.ingress: FakeIngress = before.ingress if before else FakeIngress()
        self.probe: FakeProbe = before.probe if before else FakeProbe()
        self.file: FakeSpecFile = before.file if before else FakeSpecFile()
        self.happenings: list[Happening] = []
        self.notices = 0
        self.kept: list[str] = []
        """Ids of the containers whose logs were archived, each while the engine had it."""
        self.convergence = Convergence(
            self.engine,
            self.ingress,
            specs=Specs(self.file, node_id=NODE),
            probe=self.probe,
            clock=self.clock,
            node_id=NODE,
            network="moorage-test",
            registry_port=7191,
            registry_login=("agent", "secret"),
            keep_log=self._keep_log,
        )
        self.convergence.attach(notice=self._notice, tell=self.happenings.append)
        self._tasks = Tasks("node")

    async def _keep_log(self, container_id: str) -> None:
        assert self.engine.exists(container_id)
        self.kept.append(container_id)

    def _notice(self) -> None:
        self.notices += 1

    def start(self) -> None:
        """Start the agent's two duties."""
        self._tasks.start("convergence", self.convergence.run())
        self._tasks.start("watcher", Watcher(self.engine, [self.convergence.note_event], self.clock).run())

    async def stop(self) -> None:
        """Stop the agent as it stops itself; containers and proxy stay as they are."""
        await self._tasks.close()

    async def follow(self, spec: NodeSpec, *, seconds: float = 5.0) -> None:
        """Give the spec and let time pass."""
        await self.convergence.accept(spec, compute_digest(spec))
        await self.clock.advance(seconds)

    def report(self, replica_id: str) -> ReplicaReport:
        """The present report of a replica."""
        return next(report for report in self.convergence.reports() if report.id == replica_id)

    async def container(self, replica_id: str) -> Container:
        """The container of a replica."""
        found = await self.engine.list_containers()
        return next(container for container in found if container.label(labels.REPLICA) == replica_id)

    async def ready(self, key: str = "svc-id-web") -> dict[str, str]:
        """The addresses that take new requests of a route, by replica."""
        route = (await self.ingress.observe()).routes.get(key)
        servers = route.servers if route else ()
        return {server.name: server.address for server in servers if server.state is ServerState.READY}


@contextlib.asynccontextmanager
async def running_node(before: Node | None = None) -> AsyncIterator[Node]:
    """A node whose agent runs within the block; `before` gives it another one's machine."""
    node = Node(before)
    node.start()
    try:
        yield node
    finally:
        await node.stop()
