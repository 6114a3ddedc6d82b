"""The folder of blobs: what a restart, a full disk and a second writer leave behind."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controld.core.registry_faults import (
    BlobStoreFull,
    BlobTooLarge,
    BlobUploadBusy,
    BlobUploadNotFound,
    DigestInvalid,
)
from controld.store.blob_files import BlobFiles
from tests.registry import sha256

_MIB = 1024 * 1024


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[BlobFiles]:
    opened = BlobFiles(tmp_path)
    await opened.open()
    yield opened
    await opened.close()


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _append(files: BlobFiles, upload_id: str, *pieces: bytes, limit_bytes: int = 100 * _MIB) -> None:
    async with files.writing(upload_id) as part:
        await part.append(_pieces(*pieces), limit_bytes=limit_bytes)


async def _publish(files: BlobFiles, upload_id: str, digest: str) -> None:
    async with files.writing(upload_id) as part:
        await part.seal(digest)
        await files.publish(upload_id, digest)


async def test_a_sealed_upload_becomes_a_blob(files: BlobFiles) -> None:
    await files.create("u")
    await _append(files, "u", b"ab", b"c")
    assert await files.measure("u") == 3
    await _publish(files, "u", sha256(b"abc"))
    assert files.path_of(sha256(b"abc")).read_bytes() == b"abc"
    assert await files.list_uploads() == {}


async def test_pieces_of_all_sizes_arrive_in_order(files: BlobFiles) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate((1, _MIB, 3, 2 * _MIB + 1, 0, 700_000, 700_000, 5))]
    await files.create("u")
    await _append(files, "u", *pieces)
    whole = b"".join(pieces)
    await _publish(files, "u", sha256(whole))
    assert files.path_of(sha256(whole)).read_bytes() == whole


async def test_after_a_restart_what_is_there_is_hashed_again(files: BlobFiles, tmp_path: Path) -> None:
    await files.create("u")
    await _append(files, "u", b"before ")
    fresh = BlobFiles(tmp_path)
    await _append(fresh, "u", b"after")
    await _publish(fresh, "u", sha256(b"before after"))
    await fresh.close()
    assert await files.has(sha256(b"before after"))


async def test_a_file_that_another_process_changed_is_hashed_again(files: BlobFiles, tmp_path: Path) -> None:
    await files.create("u")
    await _append(files, "u", b"one")
    path = tmp_path / "uploads" / "u"
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    with pytest.raises(DigestInvalid):
        await _publish(files, "u", sha256(b"one"))
    await _publish(files, "u", sha256(b"two"))


async def test_a_wrong_digest_is_refused(files: BlobFiles) -> None:
    await files.create("u")
    await _append(files, "u", b"abc")
    with pytest.raises(DigestInvalid):
        await _publish(files, "u", sha256(b"abd"))
    assert not await files.has(sha256(b"abd"))


async def test_an_upload_has_one_writer(files: BlobFiles) -> None:
    await files.create("u")
    async with files.writing("u"):
        with pytest.raises(BlobUploadBusy):
            async with files.writing("u"):
                pass
    await _append(files, "u", b"free again")


async def test_an_unknown_upload_is_told_as_such(files: BlobFiles) -> None:
    with pytest.raises(BlobUploadNotFound):
        await files.measure("u")
    with pytest.raises(BlobUploadNotFound):
        await _append(files, "u", b"x")
    await files.discard("u")


async def test_more_than_the_limit_is_refused_and_what_came_before_stays(files: BlobFiles) -> None:
    await files.create("u")
    with pytest.raises(BlobTooLarge):
        await _append(files, "u", b"abc", b"def", limit_bytes=5)
    assert await files.measure("u") == 3


async def test_a_source_that_breaks_leaves_what_had_come(files: BlobFiles) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"came"
        raise ConnectionResetError

    await files.create("u")
    with pytest.raises(ConnectionResetError):
        async with files.writing("u") as part:
            await part.append(broken(), limit_bytes=100)
    await _append(files, "u", b" later")
    await _publish(files, "u", sha256(b"came later"))


async def test_a_full_disk_is_told_and_leaves_a_whole_beginning(
    files: BlobFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.write, [_MIB + 10]

    def write_until_full(descriptor: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = min(left[0], len(data))
        left[0] -= count
        return write(descriptor, data[:count])

    whole = bytes(range(256)) * 4096 * 4
    pieces = [whole[start : start + 300_000] for start in range(0, len(whole), 300_000)]
    await files.create("u")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_until_full)
        with pytest.raises(BlobStoreFull):
            await _append(files, "u", *pieces)
    offset = await files.measure("u")
    assert offset == 900_000  # pieces are whole or not there
    await _append(files, "u", whole[offset:])
    await _publish(files, "u", sha256(whole))


async def test_what_is_truncated_is_forgotten(files: BlobFiles) -> None:
    await files.create("u")
    async with files.writing("u") as part:
        await part.append(_pieces(b"abcdef"), limit_bytes=100)
        await part.truncate(3)
        assert part.offset == 3
        await part.append(_pieces(b"xyz"), limit_bytes=100)
        await part.seal(sha256(b"abcxyz"))


async def test_a_blob_that_is_there_already_stays(files: BlobFiles) -> None:
    for upload_id in ("one", "two"):
        await files.create(upload_id)
        await _append(files, upload_id, b"same")
        await _publish(files, upload_id, sha256(b"same"))
    (name,) = await files.list_slices()
    assert [each.digest for each in await files.list_blobs(name)] == [sha256(b"same")]
    await files.delete([sha256(b"same"), sha256(b"never")])
    assert not await files.has(sha256(b"same"))
