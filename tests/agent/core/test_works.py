"""Builds and pulls run once under their id, can be joined at any time, and end in a result or a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from agent.core.faults import BuildFailed, ContextMissing, ImageNotFound, RefUnknown, RegistryDenied
from agent.core.works import Works
from agent.model.engine import Image
from kit.clock import SystemClock
from kit.faults import Conflict, Fault
from kit.tasks import Tasks
from tests.fakes.engine import FakeEngine
from wire.agent.builds import (
    BuildAsked,
    CloneAsked,
    DeployKey,
    PullAsked,
    RegistryLogin,
    WorkDone,
    WorkEvent,
    WorkFailed,
    WorkLine,
)
from wire.spec import Limits, Origin

_WORK = "01890000-0000-7000-8000-000000000001"
_REGISTRY = "127.0.0.1:7191"


class _Contexts:
    """Contexts that are a set of names."""

    def __init__(self) -> None:
        self.staged: set[str] = set()

    async def stage(self, work_id: str, chunks: AsyncIterator[bytes]) -> None:
        async for _ in chunks:
            pass
        self.staged.add(work_id)

    async def has(self, work_id: str) -> bool:
        return work_id in self.staged

    async def unpack(self, work_id: str, *, context_path: str, dockerfile_path: str) -> tuple[Path, str]:
        if work_id not in self.staged:
            raise ContextMissing("gone")
        return Path("/nowhere") / context_path, dockerfile_path

    def root(self, work_id: str) -> Path:
        return Path("/nowhere") / work_id

    async def locate(self, work_id: str, *, context_path: str, dockerfile_path: str) -> tuple[Path, str]:
        return self.root(work_id) / context_path, dockerfile_path

    async def remove(self, work_id: str) -> None:
        self.staged.discard(work_id)


class _Repositories:
    """Clones that end when `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.asked: list[CloneAsked] = []
        self.ended = 0
        self.fault: Fault | None = None

    async def clone(
        self, asked: CloneAsked, *, root: Path, cpu_millis: int, memory_bytes: int, tell: Callable[[str], None]
    ) -> str:
        self.asked.append(asked)
        tell(f"cloning {asked.repo_url}")
        try:
            await self.go.wait()
            if self.fault is not None:
                raise self.fault
            return "c" * 40
        finally:
            self.ended += 1


async def _note(reference: str) -> None:
    assert reference.startswith(_REGISTRY)


@pytest.fixture
def contexts() -> _Contexts:
    return _Contexts()


@pytest.fixture
def repositories() -> _Repositories:
    return _Repositories()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine("node-1", clock=SystemClock())


@pytest.fixture
async def works(engine: FakeEngine, contexts: _Contexts, repositories: _Repositories) -> AsyncIterator[Works]:
    tasks = Tasks("works")
    yield Works(
        engine=engine,
        contexts=contexts,
        repositories=repositories,
        tasks=tasks,
        clock=SystemClock(),
        node_id="node-1",
        registry=_REGISTRY,
        registry_login=("node", "secret"),
        builds_at_once=1,
        note=_note,
    )
    await tasks.close()


def _asked(*, timeout_seconds: float = 30.0, tag: str = "d1") -> BuildAsked:
    return BuildAsked(
        repository="default/web",
        dockerfile_path="Dockerfile",
        context_path=".",
        limits=Limits(cpu_millis=1000, memory_bytes=1 << 28),
        timeout_seconds=timeout_seconds,
        tag=tag,
    )


async def _read(events: AsyncIterator[WorkEvent]) -> list[WorkEvent]:
    async with asyncio.timeout(10):
        return [event async for event in events]


async def test_a_build_ends_with_the_digest_that_its_push_left(
    works: Works, contexts: _Contexts, engine: FakeEngine
) -> None:
    contexts.staged.add(_WORK)
    *lines, done = await _read(await works.build(_WORK, _asked()))
    assert isinstance(done, WorkDone)
    assert done.origin is Origin.HOSTED
    assert done.image == f"default/web@{engine.pushed[f'{_REGISTRY}/default/web:d1']}"
    assert WorkLine(text="Step 1/1 : FROM scratch") in lines
    assert contexts.staged == set()


async def test_joining_again_tells_everything_from_the_first_event_and_builds_once(
    works: Works, contexts: _Contexts, engine: FakeEngine
) -> None:
    contexts.staged.add(_WORK)
    engine.build_seconds = 0.05
    first, second = await asyncio.gather(
        _read(await works.build(_WORK, _asked())), _read(await works.build(_WORK, _asked()))
    )
    third = await _read(await works.build(_WORK, _asked()))
    assert first == second == third
    assert len(engine.pushed) == 1


async def test_a_build_without_its_context_says_so(works: Works) -> None:
    with pytest.raises(ContextMissing):
        await works.build(_WORK, _asked())


async def test_a_failed_step_is_told_with_its_reason(works: Works, contexts: _Contexts, engine: FakeEngine) -> None:
    contexts.staged.add(_WORK)
    engine.build_fault = BuildFailed("cannot build: the command returned 1")
    *_, end = await _read(await works.build(_WORK, _asked()))
    assert end == WorkFailed(code="build_failed", message="cannot build: the command returned 1")
    assert contexts.staged == set()


async def test_a_build_that_takes_too_long_is_stopped(works: Works, contexts: _Contexts, engine: FakeEngine) -> None:
    contexts.staged.add(_WORK)
    engine.build_seconds = 60
    *_, end = await _read(await works.build(_WORK, _asked(timeout_seconds=0.05)))
    assert isinstance(end, WorkFailed)
    assert end.code == "timed_out"
    assert len(engine.cancelled_builds) == 1


async def test_cancelling_stops_the_build_and_ends_its_readers(
    works: Works, contexts: _Contexts, engine: FakeEngine
) -> None:
    contexts.staged.add(_WORK)
    engine.build_seconds = 60
    reader = asyncio.gather(_read(await works.build(_WORK, _asked())))
    await asyncio.sleep(0.05)
    await works.cancel(_WORK)
    [events] = await reader
    assert isinstance(events[-1], WorkFailed)
    assert events[-1].code == "cancelled"
    assert len(engine.cancelled_builds) == 1
    await works.cancel(_WORK)


async def test_other_work_under_the_same_id_is_refused(works: Works, contexts: _Contexts) -> None:
    contexts.staged.add(_WORK)
    await _read(await works.build(_WORK, _asked()))
    with pytest.raises(Conflict):
        await works.build(_WORK, _asked(tag="d2"))


async def test_builds_beyond_the_limit_wait_and_say_so(works: Works, contexts: _Contexts, engine: FakeEngine) -> None:
    other = _WORK.replace("1", "2")
    contexts.staged |= {_WORK, other}
    engine.build_seconds = 0.05
    first = await works.build(_WORK, _asked())
    await anext(first)
    events = await _read(await works.build(other, _asked(tag="d2")))
    assert isinstance(events[0], WorkLine)
    assert events[0].text.startswith("waiting")
    assert isinstance(events[-1], WorkDone)


def _cloning(*, key: str = "k") -> BuildAsked:
    clone = CloneAsked(
        repo_url="https://git.example/a", ref="main", timeout_seconds=30, credential=DeployKey(private_key=key)
    )
    return msgspec.structs.replace(_asked(), clone=clone)


async def test_a_build_from_a_clone_needs_no_context_and_tells_its_commit(works: Works, engine: FakeEngine) -> None:
    *lines, done = await _read(await works.build(_WORK, _cloning()))
    assert isinstance(done, WorkDone)
    assert done.commit == "c" * 40
    assert lines[0] == WorkLine(text="cloning https://git.example/a")
    assert engine.built_labels["org.opencontainers.image.revision"] == "c" * 40


async def test_a_build_for_this_node_alone_is_not_pushed(works: Works, engine: FakeEngine) -> None:
    *lines, done = await _read(await works.build(_WORK, msgspec.structs.replace(_cloning(), push=False)))
    assert isinstance(done, WorkDone)
    image = await engine.find_image(f"{_REGISTRY}/default/web:d1")
    assert image is not None
    assert (done.origin, done.image, done.digest, done.commit) == (Origin.LOCAL, image.id, image.id, "c" * 40)
    assert engine.pushed == {}
    assert not any("pushing" in line.text for line in lines if isinstance(line, WorkLine))


async def test_a_clone_that_fails_is_told_with_its_reason(works: Works, repositories: _Repositories) -> None:
    repositories.fault = RefUnknown("cannot clone: no such branch")
    *_, end = await _read(await works.build(_WORK, _cloning()))
    assert end == WorkFailed(code="git_ref_unknown", message="cannot clone: no such branch")


async def test_cancelling_ends_the_clone(works: Works, repositories: _Repositories) -> None:
    repositories.go.clear()
    events = await works.build(_WORK, _cloning())
    await anext(events)
    await works.cancel(_WORK)
    assert repositories.ended == 1
    assert [event async for event in events][-1] == WorkFailed(
        code="cancelled", message="cannot finish the work: it was cancelled"
    )


async def test_the_same_clone_with_another_key_is_the_same_work(works: Works, repositories: _Repositories) -> None:
    first = await _read(await works.build(_WORK, _cloning()))
    assert await _read(await works.build(_WORK, _cloning(key="rotated"))) == first
    assert len(repositories.asked) == 1


async def test_a_pull_names_the_image_by_the_digest_of_the_repository_asked_for(
    works: Works, engine: FakeEngine
) -> None:
    image = engine.add_image(
        "tmp", digests=("other.example/web@sha256:" + "a" * 64, "web.example/web@sha256:" + "b" * 64)
    )
    engine.registry["web.example/web:1"] = image
    asked = PullAsked(image="web.example/web:1", timeout_seconds=5, login=RegistryLogin(username="u", password="p"))
    *_, done = await _read(works.pull(_WORK, asked))
    assert isinstance(done, WorkDone)
    assert (done.origin, done.image) == (Origin.EXTERNAL, "web.example/web@sha256:" + "b" * 64)


async def test_an_image_that_came_from_no_registry_is_used_as_it_is(works: Works, engine: FakeEngine) -> None:
    image = engine.add_image("busybox:mine")
    *_, done = await _read(works.pull(_WORK, PullAsked(image="busybox:mine", timeout_seconds=5)))
    assert isinstance(done, WorkDone)
    assert (done.origin, done.image) == (Origin.LOCAL, image.id)


async def test_an_image_that_does_not_exist_is_told_by_its_code(works: Works, engine: FakeEngine) -> None:
    engine.registry["nosuch:1"] = ImageNotFound("cannot pull nosuch:1: the registry has no such image")
    *_, end = await _read(works.pull(_WORK, PullAsked(image="nosuch:1", timeout_seconds=5)))
    assert isinstance(end, WorkFailed)
    assert end.code == "image_not_found"


async def test_an_image_of_a_private_registry_is_kept_in_the_hosted_one(works: Works, engine: FakeEngine) -> None:
    name = "ghcr.io/team/app@sha256:" + "b" * 64
    engine.registry[name] = Image(id="sha256:" + "1" * 64, digests=(name,), size_bytes=1000)
    login = RegistryLogin(username="u", password="hush")
    asked = PullAsked(image=name, timeout_seconds=5, login=login, keep_as="shop/web:deployment-3")
    *lines, done = await _read(works.pull(_WORK, asked))
    assert isinstance(done, WorkDone)
    kept = f"{_REGISTRY}/shop/web:deployment-3"
    assert (done.origin, done.image) == (Origin.HOSTED, f"shop/web@{engine.pushed[kept]}")
    assert done.digest == "sha256:" + "b" * 64
    assert engine.pulls == [(name, ("u", "hush"))]
    # Under the name that it was pulled by, a project that cannot sign in could run it without asking the registry.
    assert set(engine.images) == {kept}
    assert "hush" not in f"{lines} {asked} {vars(works)} {[vars(each) for each in works._works.values()]}"


async def test_a_bearer_token_is_used_as_such(works: Works, engine: FakeEngine) -> None:
    engine.registry["ghcr.io/team/app:1"] = engine.add_image("tmp", digests=("ghcr.io/team/app@sha256:" + "b" * 64,))
    asked = PullAsked(image="ghcr.io/team/app:1", timeout_seconds=5, login=RegistryLogin(token="t-1"))
    await _read(works.pull(_WORK, asked))
    assert engine.pulls == [("ghcr.io/team/app:1", "t-1")]


async def test_what_is_here_already_is_asked_of_its_registry_when_there_is_a_sign_in(
    works: Works, engine: FakeEngine
) -> None:
    name = "ghcr.io/team/app@sha256:" + "b" * 64
    engine.add_image(name, digests=(name,))
    engine.registry[name] = RegistryDenied(f"cannot pull image {name}: denied")
    asked = PullAsked(image=name, timeout_seconds=5, login=RegistryLogin(username="u", password="wrong"))
    *_, end = await _read(works.pull(_WORK, asked))
    assert isinstance(end, WorkFailed)
    assert end.code == "registry_denied"


async def test_images_of_work_are_told_while_it_goes_on(works: Works, engine: FakeEngine, contexts: _Contexts) -> None:
    contexts.staged.add(_WORK)
    engine.build_seconds = 60
    await works.build(_WORK, _asked())
    works.pull("w-2", PullAsked(image="ghcr.io/a/b:1", timeout_seconds=5, keep_as="shop/web:deployment-2"))
    names = {f"{_REGISTRY}/default/web:d1", "ghcr.io/a/b:1", f"{_REGISTRY}/shop/web:deployment-2"}
    assert works.list_references() == names
    await works.cancel(_WORK)
    await works.cancel("w-2")
    assert works.list_references() == set()
