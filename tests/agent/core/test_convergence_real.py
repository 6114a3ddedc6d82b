"""The convergence on a real Docker Engine and a real HAProxy: replicas answer, come back and are swapped unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import docker
import docker.errors
import docker.types
import pytest

from agent.core.convergence import Convergence
from agent.core.log_archive import LogArchive
from agent.core.specs import Specs
from agent.host.docker.engine import DockerEngine
from agent.host.log_archive import DiskLogArchive
from agent.host.probe import HttpProbe
from agent.host.spec_file import DiskSpecFile
from agent.loops.watcher import Watcher
from agent.model import labels
from agent.model.engine import Container
from agent.rules.containers import name_network
from kit.clock import SystemClock
from kit.tasks import Tasks
from tests.haproxy import RunningHaproxy, running_haproxy
from tests.waiting import eventually
from wire.link import ReplicaReport, ReplicaState
from wire.spec import Health, Limits, NodeSpec, Origin, Replica, Route, Wanted, compute_digest

HOST = "web.localhost"


class Agent:
    """The parts of an agent that make a spec true, on the real thing."""

    def __init__(self, engine: DockerEngine, haproxy: RunningHaproxy, *, node_id: str, file: Path) -> None:
        self.archived = DiskLogArchive(file.with_name("logs"))
        self.engine, self.haproxy, self.node_id = engine, haproxy, node_id
        clock = SystemClock()
        archive = LogArchive(
            engine, self.archived, clock=clock, most_seconds=3600, service_bytes=1 << 20, total_bytes=1 << 20
        )
        self._probe = HttpProbe()
        self._tasks = Tasks("agent")
        self.convergence = Convergence(
            engine,
            haproxy.driver(),
            specs=Specs(DiskSpecFile(file), node_id=node_id),
            probe=self._probe,
            clock=clock,
            node_id=node_id,
            network=name_network(node_id),
            registry_port=7191,
            registry_login=("agent", "secret"),
            keep_log=archive.keep,
        )
        self._tasks.start("convergence", self.convergence.run())
        self._tasks.start("watcher", Watcher(engine, [self.convergence.note_event], clock).run())

    async def close(self) -> None:
        """Stop as an agent stops, leaving containers and proxy alone."""
        await self._tasks.close()
        await self._probe.close()

    async def follow(self, spec: NodeSpec) -> None:
        """Give the spec and wait until the node is what it wants."""
        await self.convergence.accept(spec, compute_digest(spec))
        await eventually(self.convergence.reports, met=lambda _: self.convergence.converged)

    def report(self, replica_id: str) -> ReplicaReport:
        """The present report of a replica."""
        return next(report for report in self.convergence.reports() if report.id == replica_id)

    async def container(self, replica_id: str) -> Container:
        """The container of a replica."""
        found = await self.engine.list_containers()
        return next(container for container in found if container.label(labels.REPLICA) == replica_id)


@pytest.fixture
async def haproxy() -> AsyncIterator[RunningHaproxy]:
    async with running_haproxy() as running:
        yield running


@pytest.fixture
def node_network(docker_engine: docker.DockerClient, engine_node_id: str) -> str:
    """The node's network, in a range that tests may reach: left to itself Docker soon takes 192.168.0.0/16."""
    name = name_network(engine_node_id)
    for _ in range(20):
        subnet = f"172.{random.randint(24, 31)}.{random.randint(0, 255)}.0/24"
        pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=subnet)])
        with contextlib.suppress(docker.errors.APIError):
            docker_engine.api.create_network(
                name, driver="bridge", ipam=pool, check_duplicate=True, labels={labels.NODE: engine_node_id}
            )
            return name
    raise AssertionError("no range is free for a network of this test")


@pytest.fixture
async def agent(
    real_engine: DockerEngine, haproxy: RunningHaproxy, engine_node_id: str, node_network: str, tmp_path: Path
) -> AsyncIterator[Agent]:
    started = Agent(real_engine, haproxy, node_id=engine_node_id, file=tmp_path / "spec.json")
    yield started
    await started.close()


def serve(name: str, node_id: str, image: str, *, wanted: Wanted = Wanted.RUNNING) -> Replica:
    """A replica whose every answer is its name, and its only line."""
    return make(
        name,
        node_id,
        image,
        f"echo {name}; echo {name} > /www/index.html; exec httpd -f -p 8080 -h /www",
        wanted=wanted,
    )


def make(name: str, node_id: str, image: str, script: str, *, wanted: Wanted = Wanted.RUNNING) -> Replica:
    return Replica(
        id=f"{node_id}-{name:0>12}",
        service_id="web",
        deployment_id="d",
        project="shop",
        service="web",
        index=0,
        image=image,
        origin=Origin.LOCAL,
        port=8080,
        health=Health(path="/", timeout_seconds=2, steady_seconds=0.3, interval_seconds=1.0),
        limits=Limits(cpu_millis=500, memory_bytes=32 * 1024 * 1024, pids=64),
        command=("sh", "-c", script),
        stop_seconds=1,
        wanted=wanted,
        drain_seconds=5.0,
    )


def spec_of(node_id: str, *replicas: Replica) -> NodeSpec:
    running = tuple(replica.id for replica in replicas if replica.wanted is Wanted.RUNNING)
    route = Route(key="svc-web", service_id="web", service="web", hosts=(HOST,), replicas=running)
    return NodeSpec(node_id=node_id, replicas=replicas, routes=(route,))


async def ask(haproxy: RunningHaproxy) -> tuple[int, str]:
    """One request through the proxy: status and body."""
    try:
        async with aiohttp.ClientSession() as session, session.get(haproxy.url, headers={"Host": HOST}) as answer:
            return answer.status, (await answer.text()).strip()
    except aiohttp.ClientError as error:
        return 0, str(error)


@contextlib.asynccontextmanager
async def steady_requests(haproxy: RunningHaproxy) -> AsyncIterator[list[tuple[int, str]]]:
    """Requests one after another within the block; the list grows by each answer."""
    answers: list[tuple[int, str]] = []
    tasks = Tasks("load")

    async def load() -> None:
        while True:
            answers.append(await ask(haproxy))
            await asyncio.sleep(0.005)

    tasks.start("load", load())
    try:
        yield answers
    finally:
        await tasks.close()


async def test_replicas_answer_through_the_proxy_and_a_killed_one_comes_back(
    agent: Agent, engine_node_id: str, busybox_image: str
) -> None:
    one, two = (serve(name, engine_node_id, busybox_image) for name in ("one", "two"))
    await agent.follow(spec_of(engine_node_id, one, two))
    assert {(await ask(agent.haproxy))[1] for _ in range(10)} == {"one", "two"}

    before = await agent.container(one.id)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    await eventually(agent.convergence.reports, met=lambda _: agent.report(one.id).restarts == 1)
    await eventually(agent.convergence.reports, met=lambda _: agent.convergence.converged)
    after = await agent.container(one.id)
    assert after.id == before.id
    assert after.pid != before.pid
    assert {(await ask(agent.haproxy))[1] for _ in range(10)} == {"one", "two"}


async def test_a_new_release_takes_over_and_an_agent_comes_and_goes_without_a_failed_request(
    agent: Agent, engine_node_id: str, busybox_image: str, tmp_path: Path
) -> None:
    old, new = (serve(name, engine_node_id, busybox_image) for name in ("old", "new"))
    await agent.follow(spec_of(engine_node_id, old))
    async with steady_requests(agent.haproxy) as answers:
        await agent.close()
        again = Agent(agent.engine, agent.haproxy, node_id=engine_node_id, file=tmp_path / "spec.json")
        try:
            await eventually(again.convergence.reports, met=lambda _: again.convergence.converged)
            ran = await again.container(old.id)
            await again.follow(spec_of(engine_node_id, old, new))
            assert (await again.container(old.id)).started_at == ran.started_at
            leaving = serve("old", engine_node_id, busybox_image, wanted=Wanted.DRAINING)
            await again.follow(spec_of(engine_node_id, leaving, new))
        finally:
            await again.close()
    assert {status for status, _ in answers} == {200}
    assert answers[0][1] == "old"
    assert answers[-1][1] == "new"
    assert [c.label(labels.REPLICA) for c in await agent.engine.list_containers()] == [new.id]
    (log,) = again.archived.list_of("web")
    assert [entry.text for entry in await again.archived.read_tail(log, 10)] == ["old"]


async def test_a_killed_proxy_serves_again_at_once_and_the_agent_leads_it_on(
    agent: Agent, engine_node_id: str, busybox_image: str
) -> None:
    one, two = (serve(name, engine_node_id, busybox_image) for name in ("one", "two"))
    await agent.follow(spec_of(engine_node_id, one))
    await agent.haproxy.kill()
    await eventually(agent.convergence.reports, met=lambda _: not agent.convergence.converged)
    await agent.haproxy.start()
    assert (await ask(agent.haproxy)) == (200, "one")
    await agent.follow(spec_of(engine_node_id, one, two))
    assert {(await ask(agent.haproxy))[1] for _ in range(10)} == {"one", "two"}


async def test_what_cannot_run_says_why_with_its_last_lines_and_harms_no_other(
    agent: Agent, engine_node_id: str, busybox_image: str
) -> None:
    good = serve("good", engine_node_id, busybox_image)
    exits = make("exits", engine_node_id, busybox_image, "echo no database; exit 3")
    deaf = make("deaf", engine_node_id, busybox_image, "echo waiting; sleep 600")
    mute = make("mute", engine_node_id, busybox_image, "echo listening; nc -ll -p 8080 -e sleep 10")
    absent = make("absent", engine_node_id, "sha256:" + "0" * 64, "true")
    spec = spec_of(engine_node_id, good, exits, deaf, mute, absent)
    await agent.convergence.accept(spec, compute_digest(spec))
    for is_told in (
        lambda: agent.report(exits.id).state is ReplicaState.EXITED and bool(agent.report(exits.id).last_lines),
        lambda: "did not answer within 2 s" in str(agent.report(mute.id).reason),
        lambda: agent.report(deaf.id).last_lines == ("waiting",),
        lambda: agent.report(deaf.id).reason == "cannot check its health: nothing listens on port 8080",
        lambda: agent.report(good.id).state is ReplicaState.HEALTHY,
        lambda: agent.report(absent.id).state is ReplicaState.FAILED,
    ):
        await eventually(is_told, seconds=60)

    assert agent.report(exits.id).exit_code == 3
    assert agent.report(exits.id).last_lines[-1] == "no database"
    assert "is not on this node" in str(agent.report(absent.id).reason)
    assert {await ask(agent.haproxy) for _ in range(5)} == {(200, "good")}


async def test_a_container_past_its_memory_limit_is_told_as_such(
    agent: Agent, engine_node_id: str, busybox_image: str
) -> None:
    greedy = make("greedy", engine_node_id, busybox_image, "exec tail /dev/zero")
    spec = spec_of(engine_node_id, greedy)
    kinds: list[str] = []
    agent.convergence.attach(notice=lambda: None, tell=lambda happening: kinds.append(happening.kind))
    await agent.convergence.accept(spec, compute_digest(spec))
    await eventually(agent.convergence.reports, met=lambda _: "memory limit" in str(agent.report(greedy.id).reason))
    assert agent.report(greedy.id).oom_killed
    assert "oom" in kinds
