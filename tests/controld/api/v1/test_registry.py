"""The image registry over `/v1`: what is there, sums, and garbage collection."""

from __future__ import annotations

from controld.model.role import Role
from controld.rules.registry import compute_digest
from tests.controld.app import App, bearer


async def test_repositories_are_seen_by_those_with_a_role(app: App) -> None:
    token = await app.token_of("ann", project_id=await app.add_project(), role=Role.VIEWER)
    async with app.serve() as http:
        async with http.get("/v1/registry/repositories", headers=bearer(token)) as answer:
            assert answer.status == 200
            assert await answer.json() == []


async def test_sums_are_told_to_whoever_has_a_role(app: App) -> None:
    member = await app.token_of("ann", project_id=await app.add_project(), role=Role.VIEWER)
    stranger = await app.token_of("bob")
    async with app.serve() as http:
        async with http.get("/v1/registry/status", headers=bearer(member)) as answer:
            assert answer.status == 200
            assert await answer.json() == {
                "repositories": 0,
                "blobs": 0,
                "total_bytes": 0,
                "last_gc_at": None,
                "last_gc_deleted_bytes": 0,
            }
        async with http.get("/v1/registry/status", headers=bearer(stranger)) as answer:
            assert answer.status == 403


async def test_a_super_admin_collects_garbage(app: App) -> None:
    digest = compute_digest(b"nobody needs this")
    path = app.blob_files.path_of(digest)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nobody needs this")
    age_seconds = path.stat().st_mtime - app.clock.now().timestamp() + 7200
    app.clock.jump(age_seconds)
    await app.add_user("root", super_admin=True)
    root = await app.token_of("root")
    member = await app.token_of("ann", project_id=await app.add_project(), role=Role.ADMIN)
    async with app.serve() as http:
        async with http.post("/v1/registry/gc", headers=bearer(member)) as answer:
            assert answer.status == 403
        async with http.post("/v1/registry/gc", headers=bearer(root)) as answer:
            assert answer.status == 200
            told = await answer.json()
    assert (told["scanned_blobs"], told["deleted_blobs"], told["deleted_bytes"]) == (1, 1, 17)
    assert told["last_gc_at"] is not None
    assert not path.exists()
