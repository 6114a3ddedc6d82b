"""What garbage collection takes and what it leaves, and when uploads expire."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from controld.core.registry_access import RepositoryName
from controld.core.registry_faults import BlobNotFound, BlobUploadNotFound, ManifestNotFound, ProjectFull
from controld.core.registry_uploads import Chunk
from controld.model.registry import OCI_MANIFEST
from controld.store.engine import Database
from controld.store.tables import services
from kit.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.registry import (
    API,
    CALLERS,
    EXPIRY_SECONDS,
    GRACE_SECONDS,
    OTHER,
    SERVICE_IDS,
    UNNEEDED_SECONDS,
    WEB,
    World,
    add_services,
    make_manifest,
    open_world,
    sha256,
)
from tests.registry_rows import add_deployment, add_node, add_replica, keep_artifact

_OPERATOR = CALLERS["operator"]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that begins now, as files get the machine's own time."""
    return FakeClock(SystemClock().now())


@pytest.fixture
async def world(either_database: Database, tmp_path: Path, clock: FakeClock) -> AsyncIterator[World]:
    await add_services(either_database)
    async with open_world(either_database, tmp_path / "blobs", clock=clock) as opened:
        yield opened


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _push(world: World, data: bytes, *, name: RepositoryName = WEB) -> str:
    await world.uploads.push(_OPERATOR, name, sha256(data), chunk=Chunk(pieces=_pieces(data)))
    return sha256(data)


async def _push_image(world: World, tag: str, *blobs: bytes, name: RepositoryName = WEB) -> str:
    for blob in blobs:
        await _push(world, blob, name=name)
    data = make_manifest(*blobs)
    pushed = await world.registry.push_manifest(_OPERATOR, name, tag, media_type=OCI_MANIFEST, data=data)
    return pushed.digest


async def test_what_images_need_stays(world: World, clock: FakeClock) -> None:
    manifest = await _push_image(world, "v1", b"config", b"layer")
    clock.jump(GRACE_SECONDS * 100)
    done = await world.upkeep.collect()
    assert (done.scanned_blobs, done.deleted_blobs) == (3, 0)
    assert world.stored() == {manifest, sha256(b"config"), sha256(b"layer")}


async def test_a_blob_that_no_image_needs_goes_after_the_grace_time(world: World, clock: FakeClock) -> None:
    digest = await _push(world, b"layer")
    clock.jump(GRACE_SECONDS - 60)
    assert (await world.upkeep.collect()).deleted_blobs == 0
    assert world.stored() == {digest}
    clock.jump(120)
    done = await world.upkeep.collect()
    assert (done.deleted_blobs, done.deleted_bytes) == (1, 5)
    assert world.stored() == set()
    with pytest.raises(BlobNotFound):
        await world.registry.get_blob(_OPERATOR, WEB, digest)


async def test_a_blob_that_a_pusher_asks_about_becomes_young_again(world: World, clock: FakeClock) -> None:
    digest = await _push(world, b"layer")
    clock.jump(GRACE_SECONDS - 60)
    await world.registry.find_blob(_OPERATOR, WEB, digest)
    clock.jump(120)
    assert (await world.upkeep.collect()).deleted_blobs == 0
    assert world.stored() == {digest}


async def test_a_tag_that_moved_leaves_what_it_named(world: World, clock: FakeClock) -> None:
    first = await _push_image(world, "latest", b"one")
    await _push_image(world, "latest", b"two")
    clock.jump(GRACE_SECONDS * 2)
    await world.upkeep.collect()
    assert first in world.stored()
    assert sha256(b"one") in world.stored()


async def test_an_image_that_nothing_needs_any_more_goes_after_its_time(world: World, clock: FakeClock) -> None:
    first = await _push_image(world, "latest", b"one")
    clock.jump(UNNEEDED_SECONDS * 2)
    second = await _push_image(world, "latest", b"two")
    clock.jump(UNNEEDED_SECONDS - 60)
    assert (await world.upkeep.collect()).deleted_manifests == 0
    assert first in world.stored()
    clock.jump(120)
    assert (await world.upkeep.collect()).deleted_manifests == 1
    assert world.stored() == {second, sha256(b"two")}
    with pytest.raises(ManifestNotFound):
        await world.registry.get_manifest(_OPERATOR, WEB, first)


async def test_an_image_whose_tag_was_deleted_has_its_time_from_then_on(world: World, clock: FakeClock) -> None:
    digest = await _push_image(world, "v1", b"config")
    clock.jump(UNNEEDED_SECONDS * 2)
    await world.registry.delete_manifest(_OPERATOR, WEB, "v1")
    assert (await world.upkeep.collect()).deleted_manifests == 0
    await world.registry.get_manifest(_OPERATOR, WEB, digest)
    clock.jump(UNNEEDED_SECONDS + 60)
    assert (await world.upkeep.collect()).deleted_manifests == 1


async def test_what_a_build_left_goes_once_its_artifact_is_not_kept(world: World, clock: FakeClock) -> None:
    gone = await _push_image(world, "deployment-1", b"one")
    kept = await _push_image(world, "deployment-2", b"two")
    await keep_artifact(world.database, kept)
    clock.jump(UNNEEDED_SECONDS * 2)
    await world.upkeep.collect()
    assert world.stored() == {kept, sha256(b"two")}
    tags = await world.registry.list_tags(_OPERATOR, WEB, after="", limit=None)
    assert tags.items == ("deployment-2",)
    assert gone not in world.stored()


async def test_what_a_replica_runs_stays_without_tag_and_artifact(world: World, clock: FakeClock) -> None:
    digest = await _push_image(world, "deployment-1", b"one")
    await add_node(world.database)
    deployment_id = await add_deployment(world.database, "Healthy")
    await add_replica(world.database, deployment_id, image=f"shop/web@{digest}")
    clock.jump(UNNEEDED_SECONDS * 2)
    assert (await world.upkeep.collect()).deleted_manifests == 0
    assert digest in world.stored()


async def test_an_image_that_a_pusher_asks_about_becomes_young_again(world: World, clock: FakeClock) -> None:
    digest = await _push_image(world, "deployment-1", b"one")
    for _ in range(4):
        clock.jump(UNNEEDED_SECONDS - 60)
        await world.registry.find_manifest(_OPERATOR, WEB, digest)
        assert (await world.upkeep.collect()).deleted_manifests == 0
    clock.jump(UNNEEDED_SECONDS - 60)
    await world.registry.find_manifest(CALLERS["viewer"], WEB, digest)
    clock.jump(120)
    assert (await world.upkeep.collect()).deleted_manifests == 1


async def test_a_deleted_image_goes_with_all_that_only_it_needed(world: World, clock: FakeClock) -> None:
    gone = await _push_image(world, "v1", b"config one", b"shared")
    kept = await _push_image(world, "v2", b"config two", b"shared")
    await world.registry.delete_manifest(_OPERATOR, WEB, gone)
    clock.jump(GRACE_SECONDS * 2)
    await world.upkeep.collect()
    assert world.stored() == {kept, sha256(b"config two"), sha256(b"shared")}


async def test_a_blob_that_an_image_needs_stays_when_it_is_deleted_by_hand(world: World, clock: FakeClock) -> None:
    await _push_image(world, "v1", b"config")
    await world.registry.delete_blob(_OPERATOR, WEB, sha256(b"config"))
    clock.jump(GRACE_SECONDS * 2)
    assert (await world.upkeep.collect()).deleted_blobs == 0


async def test_a_deleted_service_takes_its_repository_and_not_what_others_share(world: World, clock: FakeClock) -> None:
    await _push_image(world, "v1", b"web only", b"shared")
    await world.uploads.start(_OPERATOR, WEB)
    kept = await _push_image(world, "v1", b"api only", b"shared", name=API)
    async with world.database.write() as tx:
        await tx.execute(delete(services).where(services.c.id == SERVICE_IDS[WEB]))
    clock.jump(GRACE_SECONDS * 2)
    await world.upkeep.collect()
    await world.upkeep.expire_uploads()
    assert world.stored() == {kept, sha256(b"api only"), sha256(b"shared")}
    assert world.parts() == []


async def test_an_open_upload_is_not_garbage_and_expires_when_nothing_comes(world: World, clock: FakeClock) -> None:
    upload_id = await world.uploads.start(_OPERATOR, WEB)
    clock.jump(EXPIRY_SECONDS - 60)
    await world.upkeep.collect()
    assert await world.upkeep.expire_uploads() == 0
    await world.uploads.append(_OPERATOR, WEB, upload_id, chunk=Chunk(pieces=_pieces(b"abc")))
    clock.jump(120)
    assert await world.upkeep.expire_uploads() == 0
    clock.jump(EXPIRY_SECONDS)
    assert await world.upkeep.expire_uploads() == 1
    assert world.parts() == []
    with pytest.raises(BlobUploadNotFound):
        await world.uploads.measure(_OPERATOR, WEB, upload_id)


async def test_an_upload_that_somebody_writes_to_does_not_expire(world: World, clock: FakeClock) -> None:
    upload_id = await world.uploads.start(_OPERATOR, WEB)
    clock.jump(EXPIRY_SECONDS * 2)
    async with world.files.writing(upload_id):
        assert await world.upkeep.expire_uploads() == 0
    assert await world.upkeep.expire_uploads() == 1


async def test_a_file_that_no_upload_knows_goes(world: World, clock: FakeClock) -> None:
    await world.files.create("left-by-a-crash")
    assert await world.upkeep.expire_uploads() == 0
    clock.jump(GRACE_SECONDS * 2)
    assert await world.upkeep.expire_uploads() == 1
    assert world.parts() == []


async def test_bytes_that_a_crash_left_without_a_repository_go(world: World, clock: FakeClock) -> None:
    await world.files.create("part")
    async with world.files.writing("part") as part:
        await part.append(_pieces(b"x"), limit_bytes=10)
        await part.seal(sha256(b"x"))
        await world.files.publish("part", sha256(b"x"))
    assert (await world.upkeep.collect()).deleted_blobs == 0
    clock.jump(GRACE_SECONDS * 2)
    assert (await world.upkeep.collect()).deleted_blobs == 1


async def test_old_bytes_that_are_pushed_again_are_not_taken(world: World, clock: FakeClock) -> None:
    digest = await _push(world, b"layer")
    await world.registry.delete_blob(_OPERATOR, WEB, digest)
    long_ago = (clock.now() - dt.timedelta(days=9)).timestamp()
    os.utime(world.files.path_of(digest), (long_ago, long_ago))
    await _push(world, b"layer", name=API)
    assert (await world.upkeep.collect()).deleted_blobs == 0
    await world.registry.get_blob(_OPERATOR, API, digest)


async def test_the_sums_remember_the_last_collection(world: World, clock: FakeClock) -> None:
    await _push_image(world, "v1", b"config")
    await _push(world, b"garbage")
    clock.jump(GRACE_SECONDS * 2)
    done = await world.upkeep.collect()
    status = await world.upkeep.get_status(CALLERS["viewer"])
    assert status.last == done
    assert (status.totals.repositories, status.totals.blobs, status.totals.total_bytes) == (1, 1, 6)
    assert await world.upkeep.last_collected_at() == done.at


async def test_what_several_repositories_hold_counts_once(world: World) -> None:
    await _push_image(world, "v1", b"config", b"shared")
    await _push_image(world, "v1", b"config", b"shared", name=API)
    totals = (await world.upkeep.get_status(CALLERS["viewer"])).totals
    assert (totals.repositories, totals.blobs, totals.total_bytes) == (2, 2, 12)


async def test_repositories_are_listed_with_the_size_of_their_images(world: World) -> None:
    digest = await _push_image(world, "v1", b"config", b"layer")
    (view,) = await world.registry.list_repositories(CALLERS["viewer"])
    assert view.repository.name == "shop/web"
    (tag,) = view.tags
    assert (tag.name, tag.digest) == ("v1", digest)
    assert tag.size_bytes == len(b"config") + len(b"layer") + len(make_manifest(b"config", b"layer"))
    assert await world.registry.list_repositories(CALLERS["stranger"]) == []


async def test_a_project_takes_no_more_than_its_limit(
    either_database: Database, tmp_path: Path, clock: FakeClock
) -> None:
    await add_services(either_database)
    async with open_world(either_database, tmp_path / "blobs", clock=clock, max_project_bytes=10) as world:
        await _push(world, b"123456")
        await _push(world, b"123456", name=API)
        with pytest.raises(ProjectFull):
            await _push(world, b"12345", name=API)
        assert world.parts() == []
        assert world.stored() == {sha256(b"123456")}
        await _push(world, b"1234")
        far = await _far_blob(world)
        with pytest.raises(ProjectFull):
            await world.uploads.mount(CALLERS["admin"], WEB, far, source=OTHER)
        with pytest.raises(BlobNotFound):
            await world.registry.get_blob(_OPERATOR, WEB, far)


async def _far_blob(world: World) -> str:
    data = b"far"
    await world.uploads.push(CALLERS["admin"], OTHER, sha256(data), chunk=Chunk(pieces=_pieces(data)))
    return sha256(data)
