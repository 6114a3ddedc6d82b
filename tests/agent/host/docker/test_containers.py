"""Containers on the real engine: limits that hold, deaths that are told, and what is not ours left alone."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from agent.core.faults import NetworkGone, NetworkNameTaken, StartFailed
from agent.host.docker.engine import DockerEngine
from agent.model.engine import Container, ContainerState, EventKind
from agent.rules.containers import name_network
from tests.fixtures.engine import SpecMaker, each_line
from tests.waiting import eventually

NET_BIND_SERVICE, NET_RAW = 1 << 10, 1 << 13
"""Bits of capabilities(7)."""


def read_privileges(container: Container) -> tuple[bool, int]:
    """Of the container's first process: whether it can gain no more, and the bits of what it may have."""
    status = Path(f"/proc/{container.pid}/status").read_text()
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return said["NoNewPrivs"] == "1", int(said["CapBnd"], 16)


async def find(engine: DockerEngine, id_: str) -> Container:
    return next(container for container in await engine.list_containers() if container.id == id_)


async def wait(engine: DockerEngine, id_: str, met: Callable[[Container], bool]) -> Container:
    return await eventually(lambda: find(engine, id_), met=met)


async def read(engine: DockerEngine, id_: str) -> list[str]:
    lines = each_line(engine.read_log(id_, tail=None, since=None, follow=False))
    return [line.text async for line in lines]


async def test_a_container_has_what_its_spec_says(
    real_engine: DockerEngine, make_spec: SpecMaker, docker_engine: docker.DockerClient, engine_node_id: str
) -> None:
    network = f"moorage-{engine_node_id}"
    await asyncio.gather(*(real_engine.ensure_network(network) for _ in range(3)))
    await real_engine.ensure_network(network)
    spec = make_spec(network=network, cpu_millis=64_000, env=(("GREETING", "hello world"),), stop_seconds=3)
    id_ = await real_engine.create_container(spec)
    await real_engine.start_container(id_)
    said = docker_engine.api.inspect_container(id_)
    host = said["HostConfig"]
    container = await find(real_engine, id_)

    assert len(docker_engine.api.networks(names=[network])) == 1
    assert container.ip == said["NetworkSettings"]["Networks"][network]["IPAddress"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (spec.memory_bytes, spec.memory_bytes, 64)
    assert host["CpuQuota"] == 6_400_000
    assert host["Init"] is True
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "20971520"}}
    assert "GREETING=hello world" in said["Config"]["Env"]
    assert said["Config"]["StopTimeout"] == 3
    no_new_privileges, capabilities = read_privileges(container)
    assert no_new_privileges
    assert not capabilities & NET_RAW
    assert capabilities & NET_BIND_SERVICE


async def test_a_network_that_is_not_ours_is_left_alone(
    real_engine: DockerEngine, docker_engine: docker.DockerClient
) -> None:
    network = docker_engine.networks.create(f"foreign-{secrets.token_hex(4)}")
    try:
        with pytest.raises(NetworkNameTaken):
            await real_engine.ensure_network(str(network.name))
    finally:
        network.remove()


async def test_a_container_killed_for_its_memory_is_told(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    async with contextlib.aclosing(real_engine.watch_events()) as watch:
        await anext(watch)
        spec = make_spec(command=("tail", "/dev/zero"), memory_bytes=8 * 1024 * 1024)
        id_ = await real_engine.create_container(spec)
        await real_engine.start_container(id_)
        container = await wait(real_engine, id_, lambda it: it.exit_code is not None)
        kinds = set()
        async with asyncio.timeout(20):
            async for event in watch:
                kinds.add(event.kind)
                if event.kind is EventKind.CONTAINER_DIED:
                    break

    assert container.exit_code == 137
    assert container.oom_killed
    assert EventKind.CONTAINER_OOM in kinds


async def test_a_container_that_is_taken_off_our_network_is_told(
    real_engine: DockerEngine, make_spec: SpecMaker, engine_node_id: str, docker_engine: docker.DockerClient
) -> None:
    network = name_network(engine_node_id)
    await real_engine.ensure_network(network)
    id_ = await real_engine.create_container(make_spec(command=("sleep", "600"), network=network))
    await real_engine.start_container(id_)
    async with contextlib.aclosing(real_engine.watch_events()) as watch:
        await anext(watch)
        docker_engine.networks.get(network).disconnect(id_)
        async with asyncio.timeout(20):
            event = await anext(watch)
    assert (event.kind, event.container_id) == (EventKind.CONTAINER_OTHER, id_)
    (seen,) = await real_engine.list_containers()
    assert seen.ip is None


async def test_a_command_that_does_not_exist_ends_with_127_and_a_line_that_names_it(
    real_engine: DockerEngine, make_spec: SpecMaker
) -> None:
    id_ = await real_engine.create_container(make_spec(command=("no-such-program", "--flag")))
    await real_engine.start_container(id_)
    container = await wait(real_engine, id_, lambda it: it.exit_code is not None)

    assert container.exit_code == 127
    assert any("no-such-program" in line for line in await read(real_engine, id_))


async def test_limits_that_cannot_be_had_are_told(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    with pytest.raises(StartFailed, match=r"(?i)memory"):
        await real_engine.create_container(make_spec(memory_bytes=1024))


async def test_a_restart_between_two_looks_is_seen(
    real_engine: DockerEngine, make_spec: SpecMaker, docker_engine: docker.DockerClient
) -> None:
    id_ = await real_engine.create_container(make_spec())
    await real_engine.start_container(id_)
    first = await find(real_engine, id_)
    again = await find(real_engine, id_)
    docker_engine.api.restart(id_, timeout=1)
    restarted = await find(real_engine, id_)

    assert again is first
    assert restarted.state is ContainerState.RUNNING
    assert restarted.pid != first.pid
    assert restarted.started_at != first.started_at


async def test_a_container_that_crashes_is_started_again_by_the_engine_and_counted(
    real_engine: DockerEngine, make_spec: SpecMaker
) -> None:
    id_ = await real_engine.create_container(make_spec(command=("sh", "-c", "sleep 0.2; exit 5")))
    await real_engine.start_container(id_)
    container = await wait(real_engine, id_, lambda it: it.restarts >= 2)
    assert container.restarts >= 2


async def test_a_command_replaces_the_images_own(
    real_engine: DockerEngine, make_spec: SpecMaker, busybox_image: str, tmp_path: Path, engine_node_id: str
) -> None:
    (tmp_path / "Dockerfile").write_text(f'FROM {busybox_image}\nENTRYPOINT ["echo", "own"]\nCMD ["default"]\n')
    tag = f"moorage-test/{engine_node_id}:argv"
    build = real_engine.build_image(
        tmp_path, dockerfile="Dockerfile", tag=tag, labels={}, cpu_millis=500, memory_bytes=64 << 20
    )
    async for _ in build:
        pass
    outputs = []
    for command in (None, ("echo", "-n", "given"), ("true",)):
        id_ = await real_engine.create_container(dataclasses.replace(make_spec(image=tag), command=command))
        await real_engine.start_container(id_)
        await wait(real_engine, id_, lambda it: it.exit_code is not None)
        await real_engine.stop_container(id_, grace_seconds=0)
        outputs.append(set(await read(real_engine, id_)))
    assert outputs == [{"own default"}, {"given"}, set()]


async def test_removals_at_once_of_one_container_all_succeed(real_engine: DockerEngine, make_spec: SpecMaker) -> None:
    id_ = await real_engine.create_container(make_spec())
    await real_engine.start_container(id_)
    await asyncio.gather(*(real_engine.remove_container(id_) for _ in range(4)))
    assert await real_engine.list_containers() == ()


async def test_a_container_whose_network_was_removed_says_so_when_it_is_started(
    real_engine: DockerEngine, make_spec: SpecMaker, docker_engine: docker.DockerClient, engine_node_id: str
) -> None:
    network = f"moorage-{engine_node_id}"
    await real_engine.ensure_network(network)
    id_ = await real_engine.create_container(make_spec(network=network))
    await real_engine.start_container(id_)
    await real_engine.stop_container(id_, grace_seconds=0)
    docker_engine.api.remove_network(network)
    with pytest.raises(NetworkGone):
        await real_engine.start_container(id_)
    await real_engine.ensure_network(network)
    with pytest.raises(NetworkGone):
        await real_engine.start_container(id_)
