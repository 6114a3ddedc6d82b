"""What the registry serves after it was killed in the middle of pushes, and what it tells when its disk is full."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientError

from controld.model.registry import OCI_MANIFEST
from tests.e2e.control import Control, running_control
from tests.registry import make_manifest, named_in, sha256

_BLOB_BYTES = 3 * 1024 * 1024
_MIB = 1024 * 1024


async def _push_images(control: Control, *, pusher: int) -> None:
    """Push one image after another, until the registry is gone."""
    number = 0
    with suppress(ClientError, ConnectionError, AssertionError):
        while True:
            blobs = [f"{pusher} {number}".encode(), os.urandom(_BLOB_BYTES), b"shared" * 100_000]
            for blob in blobs:
                url = f"/v2/shop/web/blobs/uploads/?digest={sha256(blob)}"
                async with control.http.post(url, data=io.BytesIO(blob)) as answer:
                    assert answer.status == 201
            data, headers = make_manifest(*blobs), {"Content-Type": OCI_MANIFEST}
            url = f"/v2/shop/web/manifests/v{pusher}-{number}"
            async with control.http.put(url, data=data, headers=headers) as answer:
                assert answer.status == 201
            number += 1


async def test_what_is_served_after_a_kill_is_whole(tmp_path: Path) -> None:
    async with running_control(tmp_path / "control") as control:
        pushed = 0
        for seconds in (0.4, 0.7, 1.1):
            pushers = [asyncio.create_task(_push_images(control, pusher=number)) for number in range(3)]
            await asyncio.sleep(seconds)
            control.process.kill()
            await asyncio.gather(*pushers)
            await control.kill()
            await control.start()
            for path in _files(control.folder / "registry" / "sha256"):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
            pushed = await _pull_everything(control)
        assert pushed > 0
        await asyncio.wait_for(_push_one(control), 30)


async def _pull_everything(control: Control) -> int:
    """Fetch all images down to the last byte; how many there are."""
    async with control.http.get("/v2/shop/web/tags/list") as answer:
        tags = (await answer.json())["tags"]
    for tag in tags:
        async with control.http.get(f"/v2/shop/web/manifests/{tag}") as answer:
            assert answer.status == 200
            manifest = await answer.read()
        for digest in named_in(manifest):
            async with control.http.get(f"/v2/shop/web/blobs/{digest}") as answer:
                assert answer.status == 200
                assert sha256(await answer.read()) == digest
    return len(tags)


async def _push_one(control: Control) -> None:
    url = f"/v2/shop/web/blobs/uploads/?digest={sha256(b'after')}"
    async with control.http.post(url, data=b"after") as answer:
        assert answer.status == 201


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
async def cramped(tmp_path: Path, disk: Path) -> AsyncIterator[Control]:
    """A controld whose registry is on that disk."""
    async with running_control(tmp_path / "control", registry_dir=str(disk)) as running:
        yield running


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_full_disk_is_told_and_leaves_no_half_blob(cramped: Control, disk: Path) -> None:
    large, small = os.urandom(12 * _MIB), os.urandom(2 * _MIB)
    url = f"/v2/shop/web/blobs/uploads/?digest={sha256(large)}"
    async with cramped.http.post(url, data=io.BytesIO(large)) as answer:
        assert answer.status == 503
        (error,) = (await answer.json())["errors"]
    assert error["code"] == "UNAVAILABLE"
    assert error["message"] == "cannot store the blob: No space left on device"
    assert _files(disk) == []
    async with cramped.http.head(f"/v2/shop/web/blobs/{sha256(large)}") as answer:
        assert answer.status == 404
    url = f"/v2/shop/web/blobs/uploads/?digest={sha256(small)}"
    async with cramped.http.post(url, data=io.BytesIO(small)) as answer:
        assert answer.status == 201
    async with cramped.http.get(f"/v2/shop/web/blobs/{sha256(small)}") as answer:
        assert await answer.read() == small


async def test_garbage_collection_is_remembered_across_a_restart(tmp_path: Path) -> None:
    async with running_control(tmp_path / "control") as control:
        async with control.http.post("/v1/registry/gc") as answer:
            told = await answer.json()
        assert told["last_gc_at"] is not None
        await control.kill()
        await control.start()
        async with control.http.get("/v1/registry/status") as answer:
            assert (await answer.json())["last_gc_at"] == told["last_gc_at"]
