"""Uploads over real HTTP: what is taken, what is refused, and that nothing of a refused one stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from controld.core.faults import StorageFull
from controld.model.caller import SETUP_CALLER
from controld.model.role import Role
from controld.store import upload_files
from tests.controld.app import SETUP_SECRET, App, bearer
from tests.controld.deploying import ARCHIVE, Ground, make_ground, one_chunk
from tests.kit.archive.build import END, file, header, zst
from tests.kit.archive.traps import TRAPS
from tests.serving import running
from tests.waiting import eventually

ADMIN = bearer(SETUP_SECRET)


@pytest.fixture
async def ground(app: App) -> Ground:
    return await make_ground(app)


@pytest.fixture
async def http(app: App, ground: Ground) -> AsyncIterator[ClientSession]:
    async with app.serve() as session:
        yield session


def _kept(ground: Ground) -> list[Path]:
    folder = ground.app.deploying.files.path(ground.service.id).parent
    return list(folder.iterdir()) if folder.exists() else []


async def test_an_upload_is_taken_for_an_hour(ground: Ground, http: ClientSession) -> None:
    async with http.post(f"/v1/services/{ground.service.id}/uploads", data=ARCHIVE, headers=ADMIN) as answer:
        assert answer.status == 200
        body = await answer.json()
    assert set(body) == {"upload_id", "expires_at"}
    assert body["expires_at"] == "2026-01-01T01:00:00Z"
    assert [path.read_bytes() for path in _kept(ground)] == [ARCHIVE]


async def test_a_large_upload_arrives_whole(ground: Ground, http: ClientSession) -> None:
    data = zst(file(b"big", bytes(range(256)) * 40_000) + END)
    async with http.post(f"/v1/services/{ground.service.id}/uploads", data=data, headers=ADMIN) as answer:
        assert answer.status == 200
    assert [path.read_bytes() for path in _kept(ground)] == [data]


@pytest.mark.parametrize("name", sorted(TRAPS))
async def test_each_trap_is_refused_and_nothing_stays(ground: Ground, http: ClientSession, name: str) -> None:
    data, fault = TRAPS[name]
    async with http.post(f"/v1/services/{ground.service.id}/uploads", data=data, headers=ADMIN) as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == fault.code
    assert _kept(ground) == []


async def test_a_body_past_the_limit_is_refused_before_it_is_sent(ground: Ground, http: ClientSession) -> None:
    headers = {**ADMIN, "Content-Length": str(513 * 1024**2), "Expect": "100-continue"}
    async with http.post(f"/v1/services/{ground.service.id}/uploads", headers=headers) as answer:
        assert answer.status == 413
    assert _kept(ground) == []


async def test_a_bomb_is_refused(ground: Ground, http: ClientSession) -> None:
    bomb = zst(b"".join(header(b"f%d" % number, size=1 << 30) for number in range(1)) + bytes(8 << 20))
    async with http.post(f"/v1/services/{ground.service.id}/uploads", data=bomb, headers=ADMIN) as answer:
        assert answer.status == 400
    assert _kept(ground) == []


async def test_a_body_cut_in_the_middle_leaves_nothing(app: App, ground: Ground) -> None:
    async with running(app.surface) as server:
        for length in (b"Content-Length: 5000000", b"Transfer-Encoding: chunked"):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = f"POST /v1/services/{ground.service.id}/uploads HTTP/1.1\r\nHost: x\r\n".encode()
            token = f"Authorization: Bearer {SETUP_SECRET}\r\n".encode()
            piece = b"2000000\r\n" if length.startswith(b"T") else b""
            writer.write(head + token + length + b"\r\n\r\n" + piece + ARCHIVE[:40])
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: _kept(ground) == [])


async def test_a_full_disk_is_told_and_leaves_nothing(
    ground: Ground, http: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload_files, "_write_all", fail)
    async with http.post(f"/v1/services/{ground.service.id}/uploads", data=ARCHIVE, headers=ADMIN) as answer:
        assert answer.status == StorageFull("x").status == 503
        assert (await answer.json())["code"] == "storage_full"
    assert _kept(ground) == []


async def test_uploading_takes_an_operator_of_the_project(app: App, ground: Ground, http: ClientSession) -> None:
    path = f"/v1/services/{ground.service.id}/uploads"
    project_id = ground.service.project_id
    expected = [(None, 404), (Role.VIEWER, 403), (Role.OPERATOR, 200)]
    for number, (role, status) in enumerate(expected):
        token = await app.token_of(f"u{number}", project_id=project_id if role else None, role=role)
        async with http.post(path, data=ARCHIVE, headers=bearer(token)) as answer:
            assert answer.status == status
    unknown = "/v1/services/00000000-0000-7000-8000-0000000000aa/uploads"
    async with http.post(unknown, data=ARCHIVE, headers=ADMIN) as answer:
        assert answer.status == 404


async def test_expired_and_forgotten_archives_are_swept_and_those_in_use_stay(app: App, ground: Ground) -> None:
    uploads = app.deploying.uploads
    used = await ground.upload()
    await ground.deploy(used)
    await uploads.create(SETUP_CALLER, ground.service.id, one_chunk(ARCHIVE))
    assert len(_kept(ground)) == 2
    await app.clock.advance(3601)
    assert await uploads.sweep() == 1
    assert [path.name for path in _kept(ground)] == [f"{used.upload_id}.tar.zst"]
    assert await uploads.sweep() == 0
