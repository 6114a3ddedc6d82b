"""Garbage collection through histories nobody planned: what is needed stays whole, and what is not goes in the end."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from controld.core.registry_access import RepositoryName
from controld.core.registry_faults import BlobUploadNotFound, ManifestBlobUnknown, ManifestNotFound
from controld.core.registry_uploads import Chunk
from controld.model.registry import OCI_INDEX, OCI_MANIFEST
from controld.store.engine import Database
from controld.store.feed import Feed
from kit.clock import SystemClock
from tests.registry import (
    API,
    CALLERS,
    EXPIRY_SECONDS,
    WEB,
    World,
    add_services,
    make_index,
    make_manifest,
    named_in,
    open_world,
    sha256,
)
from tests.registry_rows import drop_artifacts, keep_artifact

_OPERATOR = CALLERS["operator"]
_HOUR = 3600.0
_BLOBS = (b"config", b"base", b"app", b"assets")
_NAMES = st.sampled_from([WEB, API])
_TAGS = st.sampled_from(["latest", "v1", "deployment-1", "deployment-2", None])
_SEVERAL = st.lists(st.sampled_from(_BLOBS), min_size=1, max_size=3, unique=True).map(tuple)


@dataclasses.dataclass(frozen=True)
class _Push:
    """Blobs now, the manifest `later` steps on: the pusher is as slow as that."""

    name: RepositoryName
    tag: str | None
    blobs: tuple[bytes, ...]
    later: int


@dataclasses.dataclass(frozen=True)
class _Index:
    """A list of the newest images of the repository."""

    name: RepositoryName
    tag: str | None


@dataclasses.dataclass(frozen=True)
class _Keep:
    """The newest image of the repository becomes an artifact."""

    name: RepositoryName


@dataclasses.dataclass(frozen=True)
class _Untag:
    name: RepositoryName
    tag: str


@dataclasses.dataclass(frozen=True)
class _Upload:
    """Somebody begins an upload, or goes on with it."""

    name: RepositoryName


@dataclasses.dataclass(frozen=True)
class _Pass:
    """Time passes, then garbage is collected while so many push the same image at once."""

    hours: float
    pushers: int


_STEPS = st.one_of(
    st.builds(_Push, _NAMES, _TAGS, _SEVERAL, st.integers(0, 3)),
    st.builds(_Push, _NAMES, _TAGS, _SEVERAL, st.just(0)),
    st.builds(_Index, _NAMES, _TAGS),
    st.builds(_Keep, _NAMES),
    st.builds(_Untag, _NAMES, st.sampled_from(["latest", "v1"])),
    st.builds(_Upload, _NAMES),
    st.builds(_Pass, st.sampled_from([0.6, 1.1, 30.0]), st.integers(0, 3)),
    st.builds(_Pass, st.sampled_from([100.0, 200.0]), st.integers(0, 3)),
)


class _History:
    """A registry, and what has to be in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hours = 0.0
        self.images: dict[RepositoryName, list[tuple[str, bytes]]] = {WEB: [], API: []}
        self.tags: dict[tuple[RepositoryName, str], str] = {}
        self.kept: set[tuple[RepositoryName, str]] = set()
        self.uploads: dict[RepositoryName, tuple[str, bytes, float]] = {}
        self.waiting: list[tuple[int, _Push]] = []

    async def take(self, number: int, step: object) -> None:
        for due, push in [each for each in self.waiting if each[0] <= number]:
            self.waiting.remove((due, push))
            await self._push_manifest(push)
        match step:
            case _Push():
                for blob in step.blobs:
                    await self._push_blob(step.name, blob)
                if step.later:
                    self.waiting.append((number + step.later, step))
                else:
                    await self._push_manifest(step)
            case _Index(name, tag):
                await self._push_index(name, tag)
            case _Keep(name) if self.images[name]:
                digest = self.images[name][-1][0]
                if await self._has(name, digest):
                    await keep_artifact(self.world.database, digest, name=name)
                    self.kept.add((name, digest))
            case _Untag(name, tag) if (name, tag) in self.tags:
                await self.world.registry.delete_manifest(_OPERATOR, name, tag)
                del self.tags[name, tag]
            case _Upload(name):
                await self._upload(name)
            case _Pass(hours, pushers):
                await self._age(hours)
                blobs = (b"config", f"of {number}".encode())
                pushes = [self._push_whole(WEB if each % 2 else API, blobs) for each in range(pushers)]
                await asyncio.gather(self.world.upkeep.collect(), self.world.upkeep.expire_uploads(), *pushes)
            case _:
                pass
        await self.check()

    async def check(self) -> None:
        """All that is kept or has a tag can be pulled, down to its last byte."""
        for (name, _), digest in self.tags.items():
            await self._pull(name, digest)
        for name, digest in self.kept:
            await self._pull(name, digest)

    async def end(self) -> None:
        """Nothing is needed any more, and after its time nothing is there."""
        for name, tag in list(self.tags):
            await self.world.registry.delete_manifest(_OPERATOR, name, tag)
        await drop_artifacts(self.world.database)
        for _ in range(3):
            await self._age(200.0)
            await self.world.upkeep.expire_uploads()
            await self.world.upkeep.collect()
        assert self.world.stored() == set()
        assert self.world.parts() == []
        totals = (await self.world.upkeep.get_status(CALLERS["admin"])).totals
        assert (totals.blobs, totals.total_bytes) == (0, 0)

    async def _age(self, hours: float) -> None:
        """Let all that is there be older: rows and files alike, which a clock of ours alone would not."""
        self.hours += hours
        seconds = hours * _HOUR
        async with self.world.database.write() as tx:
            for column in (
                "manifests.touched_at",
                "tags.updated_at",
                "repository_blobs.created_at",
                "blob_uploads.touched_at",
            ):
                table, _, name = column.partition(".")
                await tx.execute(text(f"UPDATE {table} SET {name} = {name} - {int(seconds * 1_000_000)}"))
        for path in [each for each in self.world.folder.rglob("*") if each.is_file()]:
            moment = path.stat().st_mtime - seconds
            os.utime(path, (moment, moment))

    async def _push_whole(self, name: RepositoryName, blobs: tuple[bytes, ...]) -> None:
        push = _Push(name, None, blobs, 0)
        for blob in blobs:
            await self._push_blob(name, blob)
        await self._push_manifest(push)
        await self._pull(name, self.images[name][-1][0])

    async def _push_blob(self, name: RepositoryName, blob: bytes) -> None:
        await self.world.uploads.push(_OPERATOR, name, sha256(blob), chunk=Chunk(pieces=_pieces(blob)))

    async def _push_manifest(self, push: _Push) -> None:
        data = make_manifest(*push.blobs)
        try:
            await self._put(push.name, push.tag, data, media_type=OCI_MANIFEST)
        except ManifestBlobUnknown:
            assert push.later, "a quick pusher is never told that a blob is gone"

    async def _push_index(self, name: RepositoryName, tag: str | None) -> None:
        here = [image for image in self.images[name] if await self._has(name, image[0])]
        if here:
            await self._put(name, tag, make_index(*(data for _, data in here[-2:])), media_type=OCI_INDEX)

    async def _put(self, name: RepositoryName, tag: str | None, data: bytes, *, media_type: str) -> None:
        digest = sha256(data)
        await self.world.registry.push_manifest(_OPERATOR, name, tag or digest, media_type=media_type, data=data)
        if media_type == OCI_MANIFEST:
            self.images[name].append((digest, data))
        if tag in {"latest", "v1"}:
            self.tags[name, tag] = digest

    async def _upload(self, name: RepositoryName) -> None:
        now = self.hours
        if name not in self.uploads:
            self.uploads[name] = (await self.world.uploads.start(_OPERATOR, name), b"", now)
        upload_id, had, touched = self.uploads[name]
        try:
            offset = await self.world.uploads.append(_OPERATOR, name, upload_id, chunk=Chunk(pieces=_pieces(b"more")))
        except BlobUploadNotFound:
            assert (now - touched) * _HOUR > EXPIRY_SECONDS, "an upload that goes on is never taken"
            del self.uploads[name]
        else:
            assert offset == len(had) + 4
            self.uploads[name] = (upload_id, had + b"more", now)

    async def _has(self, name: RepositoryName, digest: str) -> bool:
        try:
            await self.world.registry.get_manifest(_OPERATOR, name, digest)
        except ManifestNotFound:
            return False
        return True

    async def _pull(self, name: RepositoryName, digest: str) -> None:
        content = await self.world.registry.get_manifest(_OPERATOR, name, digest)
        data = content.path.read_bytes()
        assert sha256(data) == digest
        for each in named_in(data):
            if content.media_type == OCI_INDEX:
                await self._pull(name, each)
            else:
                blob = await self.world.registry.get_blob(_OPERATOR, name, each)
                assert sha256(blob.path.read_bytes()) == each


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A migrated database with services, to be copied."""

    async def make(folder: Path) -> None:
        database = Database(f"sqlite+aiosqlite:///{folder}/control.db", feed=Feed("test"), clock=SystemClock())
        await database.open()
        await add_services(database)
        await database.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(Path(folder)))
        yield Path(folder)


@settings(max_examples=20)
@given(steps=st.lists(_STEPS, min_size=12, max_size=24))
def test_what_is_needed_stays_whole_and_the_rest_goes(template: Path, steps: list[object]) -> None:
    async def live(folder: Path) -> None:
        database = Database(f"sqlite+aiosqlite:///{folder}/control.db", feed=Feed("test"), clock=SystemClock())
        await database.open()
        try:
            async with open_world(database, folder / "blobs") as world:
                history = _History(world)
                for number, step in enumerate(steps):
                    await history.take(number, step)
                await history.end()
        finally:
            await database.close()

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "control"
        shutil.copytree(template, folder)
        asyncio.run(live(folder))
