"""The fake engine and Docker's behave alike in everything that the core relies on."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import docker
import pytest

from agent.core.faults import (
    BuildFailed,
    ContainerGone,
    ContainerNameTaken,
    EngineUnavailable,
    ImageNotFound,
    NotOurs,
    StartFailed,
)
from agent.core.ports import Engine
from agent.host.docker.engine import DockerEngine
from agent.model.engine import Container, ContainerState, EngineEvent, EventKind
from kit.clock import SystemClock
from tests.fakes.engine import FakeEngine
from tests.fixtures.engine import ENGINE_SOCKET, SpecMaker, each_line
from tests.waiting import eventually

T = TypeVar("T")


@dataclass(kw_only=True)
class Bench:
    """An engine, and the levers that both twins have."""

    engine: Engine
    image: str
    node_id: str
    add_foreign: Callable[[str], str]
    exists: Callable[[str], bool]
    stop_engine: Callable[[], Awaitable[Engine]]


@pytest.fixture(params=["fake", "docker"])
async def bench(request: pytest.FixtureRequest, engine_node_id: str, busybox_image: str) -> AsyncIterator[Bench]:
    if request.param == "fake":
        yield _fake_bench(engine_node_id, busybox_image)
        return
    client: docker.DockerClient = request.getfixturevalue("docker_engine")
    engine = DockerEngine(ENGINE_SOCKET, engine_node_id, clock=SystemClock())
    missing = DockerEngine(Path("/run/moorage-test-no-engine.sock"), engine_node_id, clock=SystemClock())
    foreign: list[str] = []

    def add_foreign(name: str) -> str:
        made = client.api.create_container(busybox_image, command=["sleep", "600"], name=name)
        foreign.append(made["Id"])
        client.api.start(made["Id"])
        return str(made["Id"])

    def exists(container_id: str) -> bool:
        return any(row["Id"] == container_id for row in client.api.containers(all=True))

    async def stop_engine() -> Engine:
        return missing

    yield Bench(
        engine=engine,
        image=busybox_image,
        node_id=engine_node_id,
        add_foreign=add_foreign,
        exists=exists,
        stop_engine=stop_engine,
    )
    await engine.close()
    await missing.close()
    for id_ in foreign:
        client.api.remove_container(id_, force=True)


def _fake_bench(node_id: str, image: str) -> Bench:
    fake = FakeEngine(node_id, clock=SystemClock())
    fake.add_image(image)
    quick, broken = f"{image}-quick", f"{image}-broken"
    fake.add_image(quick)
    fake.add_image(broken)
    fake.exits[quick] = 3
    fake.start_errors[broken] = "network moorage-test-absent not found"

    async def stop_engine() -> Engine:
        await fake.set_down(True)
        return fake

    return Bench(
        engine=fake,
        image=image,
        node_id=node_id,
        add_foreign=fake.add_foreign,
        exists=fake.exists,
        stop_engine=stop_engine,
    )


async def find(engine: Engine, id_: str) -> Container | None:
    return next((container for container in await engine.list_containers() if container.id == id_), None)


async def until_ended(engine: Engine, id_: str) -> Container:
    container = await eventually(lambda: find(engine, id_), met=lambda it: it is not None and it.exit_code is not None)
    assert container is not None
    return container


async def test_a_started_container_runs_with_our_labels_and_an_address(bench: Bench, make_spec: SpecMaker) -> None:
    spec = make_spec()
    id_ = await bench.engine.create_container(spec)
    created = await find(bench.engine, id_)
    await bench.engine.start_container(id_)
    await bench.engine.start_container(id_)
    container = await find(bench.engine, id_)

    assert created is not None
    assert (created.state, created.pid, created.ip, created.exit_code) == (ContainerState.CREATED, None, None, None)
    assert container is not None
    assert container.state is ContainerState.RUNNING
    assert container.name == spec.name
    assert container.label("moorage.node") == bench.node_id
    assert container.label("moorage.replica") == "r-1"
    assert container.pid
    assert container.ip
    assert container.started_at is not None
    assert container.exit_code is None


async def test_a_stopped_container_stays_and_a_removed_one_is_gone(bench: Bench, make_spec: SpecMaker) -> None:
    id_ = await bench.engine.create_container(make_spec())
    await bench.engine.start_container(id_)
    await bench.engine.stop_container(id_, grace_seconds=5)
    await bench.engine.stop_container(id_, grace_seconds=5)
    stopped = await find(bench.engine, id_)
    await bench.engine.start_container(id_)
    started = await find(bench.engine, id_)
    await bench.engine.remove_container(id_)
    await bench.engine.remove_container(id_)
    await bench.engine.stop_container(id_, grace_seconds=5)

    assert stopped is not None
    assert (stopped.state, stopped.exit_code, stopped.pid) == (ContainerState.EXITED, 143, None)
    assert started is not None
    assert started.state is ContainerState.RUNNING
    assert await find(bench.engine, id_) is None
    with pytest.raises(ContainerGone):
        await bench.engine.start_container(id_)


async def test_a_container_of_ours_with_the_name_is_replaced(bench: Bench, make_spec: SpecMaker) -> None:
    spec = make_spec()
    first = await bench.engine.create_container(spec)
    await bench.engine.start_container(first)
    second = await bench.engine.create_container(spec)

    assert first != second
    assert [container.id for container in await bench.engine.list_containers()] == [second]


async def test_a_foreign_container_is_never_touched(bench: Bench, make_spec: SpecMaker) -> None:
    name = f"foreign-{secrets.token_hex(4)}"
    foreign = bench.add_foreign(name)

    assert await bench.engine.list_containers() == ()
    with pytest.raises(ContainerNameTaken):
        await bench.engine.create_container(make_spec(name=name))
    with pytest.raises(NotOurs):
        await bench.engine.start_container(foreign)
    with pytest.raises(NotOurs):
        await bench.engine.stop_container(foreign, grace_seconds=0)
    with pytest.raises(NotOurs):
        await bench.engine.remove_container(foreign)
    with pytest.raises(NotOurs):
        await collect(bench.engine.read_log(foreign, tail=None, since=None, follow=False))
    assert bench.exists(foreign)


async def test_an_image_that_the_engine_lacks_is_told_at_creation(bench: Bench, make_spec: SpecMaker) -> None:
    with pytest.raises(ImageNotFound, match="moorage-test/absent:1"):
        await bench.engine.create_container(make_spec(image="moorage-test/absent:1"))
    with pytest.raises(ImageNotFound):
        await bench.engine.tag_image("moorage-test/absent:1", "moorage-test/other:1")
    with pytest.raises(ImageNotFound):
        await bench.engine.push_image("127.0.0.1:9/moorage-test/absent:1", login=None, timeout_seconds=20)
    assert await bench.engine.find_image("moorage-test/absent:1") is None


async def test_a_start_that_the_engine_cannot_make_fails_and_says_why(bench: Bench, make_spec: SpecMaker) -> None:
    image = variant(bench, "broken")
    id_ = await bench.engine.create_container(make_spec(image=image, network="moorage-test-absent"))
    with pytest.raises(StartFailed, match="network moorage-test-absent not found"):
        await bench.engine.start_container(id_)
    container = await find(bench.engine, id_)

    assert container is not None
    assert container.state is ContainerState.CREATED
    assert "moorage-test-absent" in (container.error or "")
    await bench.engine.remove_container(id_)
    assert await find(bench.engine, id_) is None


async def test_a_container_that_exits_at_once_tells_its_code(bench: Bench, make_spec: SpecMaker) -> None:
    image = variant(bench, "quick")
    id_ = await bench.engine.create_container(make_spec(image=image, command=("sh", "-c", "exit 3")))
    await bench.engine.start_container(id_)
    container = await until_ended(bench.engine, id_)

    assert container.exit_code == 3
    assert container.state in {ContainerState.RESTARTING, ContainerState.EXITED}
    assert container.ip is None
    assert not container.oom_killed


async def test_events_tell_a_containers_life_after_a_resync(bench: Bench, make_spec: SpecMaker) -> None:
    async with contextlib.aclosing(bench.engine.watch_events()) as watch:
        first = await anext(watch)
        id_ = await bench.engine.create_container(make_spec())
        await bench.engine.start_container(id_)
        await bench.engine.remove_container(id_)
        events = await events_until(watch, EventKind.CONTAINER_DESTROYED)
    told = [event for event in events if event.kind is not EventKind.CONTAINER_OTHER]

    assert first.kind is EventKind.RESYNC
    assert [event.kind for event in told] == [
        EventKind.CONTAINER_STARTED,
        EventKind.CONTAINER_DIED,
        EventKind.CONTAINER_DESTROYED,
    ]
    assert {event.container_id for event in told} == {id_}
    assert told[1].exit_code == 137
    assert ("moorage.replica", "r-1") in told[0].labels
    assert sorted(event.at for event in told) == [event.at for event in told]


async def test_a_watch_resumes_at_the_moment_it_is_given(bench: Bench, make_spec: SpecMaker) -> None:
    async with contextlib.aclosing(bench.engine.watch_events()) as watch:
        await anext(watch)
        first = await bench.engine.create_container(make_spec())
        await bench.engine.start_container(first)
        started = (await events_until(watch, EventKind.CONTAINER_STARTED))[-1]
    await bench.engine.remove_container(first)
    async with contextlib.aclosing(bench.engine.watch_events(since=started.at)) as watch:
        assert (await anext(watch)).kind is EventKind.RESYNC
        events = await events_until(watch, EventKind.CONTAINER_DESTROYED)

    assert [event.kind for event in events if event.kind is not EventKind.CONTAINER_OTHER] == [
        EventKind.CONTAINER_STARTED,
        EventKind.CONTAINER_DIED,
        EventKind.CONTAINER_DESTROYED,
    ]


async def test_a_build_tells_its_lines_and_leaves_the_image(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /note\n")
    tag = f"moorage-test/{bench.node_id}:built"
    lines = await collect(build(bench.engine, tmp_path, tag))
    image = await bench.engine.find_image(tag)

    assert any("FROM scratch" in line for line in lines)
    assert image is not None
    assert image.digests == ()
    held = next(one for one in await bench.engine.list_images() if one.id == image.id)
    assert (held.references, held.node_id) == ((tag,), bench.node_id)
    untouched = await bench.engine.find_image(bench.image)
    assert untouched is None or untouched.id not in {one.id for one in await bench.engine.list_images()}
    await bench.engine.tag_image(image.id, f"{tag}-again")
    await bench.engine.remove_image(tag)
    await bench.engine.remove_image(tag)
    assert await bench.engine.find_image(tag) is None
    assert await bench.engine.find_image(f"{tag}-again") == image


async def test_a_failing_build_says_why(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {bench.image}\nRUN exit 7\n")
    if isinstance(bench.engine, FakeEngine):
        bench.engine.build_fault = BuildFailed("cannot build: it returned a non-zero code: 7")
    with pytest.raises(BuildFailed, match="non-zero code: 7"):
        await collect(build(bench.engine, tmp_path, f"moorage-test/{bench.node_id}:failed"))


async def test_a_log_is_read_to_its_end_and_followed_until_the_container_ends(
    bench: Bench, make_spec: SpecMaker
) -> None:
    command = ("sh", "-c", "echo one; echo two; sleep 600")
    id_ = await bench.engine.create_container(make_spec(command=command))
    await bench.engine.start_container(id_)
    if isinstance(bench.engine, FakeEngine):
        await bench.engine.write_log(id_, b"one")
        await bench.engine.write_log(id_, b"two")
    async with contextlib.aclosing(each_line(bench.engine.read_log(id_, tail=None, since=None, follow=True))) as log:
        followed = [await anext(log), await anext(log)]
        last = await collect(each_line(bench.engine.read_log(id_, tail=1, since=None, follow=False)))
        later = await collect(each_line(bench.engine.read_log(id_, tail=None, since=followed[1].at, follow=False)))
        await bench.engine.stop_container(id_, grace_seconds=5)
        async with asyncio.timeout(20):
            rest = [line async for line in log]

    assert [line.text for line in followed] == ["one", "two"]
    assert {line.stream for line in followed} == {"stdout"}
    assert last == followed[1:]
    assert followed[1] in later
    assert rest == []


async def test_an_engine_that_is_away_is_told_at_once(bench: Bench, make_spec: SpecMaker) -> None:
    engine = await bench.stop_engine()
    calls: list[Callable[[], Awaitable[object]]] = [
        engine.fetch_info,
        engine.list_containers,
        lambda: engine.create_container(make_spec()),
        lambda: engine.start_container("0" * 64),
        lambda: engine.stop_container("0" * 64, grace_seconds=1),
        lambda: engine.remove_container("0" * 64),
        lambda: engine.ensure_network("moorage-test"),
        lambda: engine.find_image("x"),
        lambda: engine.pull_image("x", login=None, timeout_seconds=5),
        lambda: engine.push_image("x", login=None, timeout_seconds=5),
        lambda: engine.tag_image("x", "y"),
        lambda: engine.remove_image("x"),
        lambda: collect(build(engine, Path("/nonexistent"), "x")),
        lambda: collect(engine.read_log("0" * 64, tail=None, since=None, follow=False)),
    ]
    for call in calls:
        with pytest.raises(EngineUnavailable, match="is dockerd running"):
            await call()


def build(engine: Engine, folder: Path, tag: str) -> AsyncGenerator[str]:
    return engine.build_image(
        folder, dockerfile="Dockerfile", tag=tag, labels={}, cpu_millis=500, memory_bytes=64 * 1024 * 1024
    )


def variant(bench: Bench, name: str) -> str:
    return f"{bench.image}-{name}" if isinstance(bench.engine, FakeEngine) else bench.image


async def collect(stream: AsyncGenerator[T]) -> list[T]:
    return [item async for item in stream]


async def events_until(watch: AsyncGenerator[EngineEvent], kind: EventKind) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    async with asyncio.timeout(20):
        async for event in watch:
            events.append(event)
            if event.kind is kind:
                break
    return events
