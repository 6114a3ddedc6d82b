"""Contexts are staged whole or not at all, unpacked safely, and gone when dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.core.faults import ContextMissing
from agent.host.contexts import ContextFiles
from agent.rules.build_paths import BuildPathForbidden
from kit.archive.limits import Limits
from kit.archive.pack import pack
from kit.faults import Fault, TooLarge, Unavailable

_WORK = "01890000-0000-7000-8000-000000000001"


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    folder = tmp_path / "source"
    (folder / "app").mkdir(parents=True)
    (folder / "docker").mkdir()
    (folder / "app" / "main.txt").write_text("hi")
    (folder / "docker" / "Dockerfile").write_text("FROM scratch\n")
    (folder / "app" / "Dockerfile").write_text("FROM scratch\nCOPY main.txt /\n")
    pack(folder, tmp_path / "c.tar.zst")
    return (tmp_path / "c.tar.zst").read_bytes()


@pytest.fixture
def contexts(tmp_path: Path) -> ContextFiles:
    return ContextFiles(tmp_path / "contexts", limits=Limits(), compressed_bytes=1_000_000)


async def _chunks(data: bytes, *, cut: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100):
        yield data[start : start + 100]
    if cut:
        raise ConnectionAbortedError("the client went")


async def test_a_staged_context_unpacks_to_the_folder_and_dockerfile_asked_for(
    contexts: ContextFiles, archive: bytes
) -> None:
    await contexts.stage(_WORK, _chunks(archive))
    folder, dockerfile = await contexts.unpack(_WORK, context_path="app", dockerfile_path="app/Dockerfile")
    assert (folder / "main.txt").read_text() == "hi"
    assert dockerfile == "Dockerfile"


async def test_a_dockerfile_beside_its_context_is_carried_in(contexts: ContextFiles, archive: bytes) -> None:
    await contexts.stage(_WORK, _chunks(archive))
    folder, dockerfile = await contexts.unpack(_WORK, context_path="app", dockerfile_path="docker/Dockerfile")
    assert (folder / dockerfile).read_text() == "FROM scratch\n"


@pytest.mark.parametrize(
    ("context", "dockerfile", "word"),
    [
        ("nowhere", "app/Dockerfile", "no such folder"),
        (".", "Dockerfile", "no such file"),
        ("../..", "app/Dockerfile", "inside the context"),
        ("/etc", "app/Dockerfile", "inside the context"),
    ],
)
async def test_paths_that_lead_nowhere_or_out_are_named(
    contexts: ContextFiles, archive: bytes, *, context: str, dockerfile: str, word: str
) -> None:
    await contexts.stage(_WORK, _chunks(archive))
    with pytest.raises(BuildPathForbidden, match=word):
        await contexts.unpack(_WORK, context_path=context, dockerfile_path=dockerfile)


async def test_a_cut_transfer_leaves_nothing(contexts: ContextFiles, archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await contexts.stage(_WORK, _chunks(archive, cut=True))
    assert not await contexts.has(_WORK)
    assert list((tmp_path / "contexts").iterdir()) == []


async def test_a_context_past_the_cap_is_refused_and_leaves_nothing(tmp_path: Path, archive: bytes) -> None:
    contexts = ContextFiles(tmp_path / "contexts", limits=Limits(), compressed_bytes=50)
    with pytest.raises(TooLarge):
        await contexts.stage(_WORK, _chunks(archive))
    assert list((tmp_path / "contexts").iterdir()) == []


async def test_what_is_not_an_archive_is_a_fault_and_not_a_crash(contexts: ContextFiles) -> None:
    await contexts.stage(_WORK, _chunks(b"not zstd at all"))
    with pytest.raises(Fault):
        await contexts.unpack(_WORK, context_path=".", dockerfile_path="Dockerfile")


async def test_a_dropped_context_is_missing(contexts: ContextFiles, archive: bytes) -> None:
    await contexts.stage(_WORK, _chunks(archive))
    await contexts.remove(_WORK)
    with pytest.raises(ContextMissing):
        await contexts.unpack(_WORK, context_path=".", dockerfile_path="Dockerfile")


async def test_a_restart_of_the_agent_clears_them_all(contexts: ContextFiles, archive: bytes) -> None:
    await contexts.stage(_WORK, _chunks(archive))
    await contexts.clear()
    assert not await contexts.has(_WORK)


async def test_no_link_of_a_clone_leads_out_of_its_context(contexts: ContextFiles, tmp_path: Path) -> None:
    root, outside = contexts.root(_WORK), tmp_path / "outside"
    (root / "app").mkdir(parents=True)
    outside.mkdir()
    (outside / "Dockerfile").write_text("FROM elsewhere\n")
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "inside").symlink_to("app")
    (root / "out").symlink_to(outside)
    (root / "Outfile").symlink_to(outside / "Dockerfile")
    for context, dockerfile in (("out", "Dockerfile"), (".", "out/Dockerfile"), (".", "Outfile")):
        with pytest.raises(BuildPathForbidden, match="leads out"):
            await contexts.locate(_WORK, context_path=context, dockerfile_path=dockerfile)
    (root / "app" / ".moorage.Dockerfile").symlink_to(outside / "Dockerfile")
    folder, name = await contexts.locate(_WORK, context_path="inside", dockerfile_path="Dockerfile")
    assert (folder / name).read_text() == "FROM scratch\n"
    assert (outside / "Dockerfile").read_text() == "FROM elsewhere\n"
