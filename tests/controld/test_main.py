"""The control daemon as a process: claimed once, restarted, and refused where it cannot work."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientTimeout

from tests.controld.app import bearer, service_body
from tests.controld.process import running_controld, start_controld


async def _post(http: ClientSession, path: str, body: Any, *, token: str | None = None) -> Any:
    async with http.post(path, json=body, headers={} if token is None else bearer(token)) as answer:
        assert answer.status in {200, 201}, await answer.text()
        return await answer.json()


async def _get(http: ClientSession, path: str, *, token: str) -> Any:
    async with http.get(path, headers=bearer(token)) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_what_was_made_is_there_after_a_restart(tmp_path: Path, free_port: int) -> None:
    folder = tmp_path / "data"
    async with running_controld(folder, port=free_port) as http:
        setup_secret, mode = await asyncio.to_thread(_read_secret, folder)
        assert mode == 0o600
        assert len(setup_secret) >= 64
        login = {"username": "root", "password": "correct horse"}
        await _post(http, "/v1/bootstrap", login, token=setup_secret)
        session = (await _post(http, "/v1/auth/login", login))["token"]
        api_token = (await _post(http, "/v1/api-tokens", {"name": "ci"}, token=session))["token"]
        project = await _post(http, "/v1/projects", {"name": "shop"}, token=session)
        service = await _post(http, "/v1/services", service_body(project["id"]), token=api_token)
        assert service["assigned_hostname"] == "web-shop.localhost"
        await _get(http, "/v1/me", token=session)
    async with running_controld(folder, port=free_port) as http:
        assert await _get(http, f"/v1/services/{service['id']}", token=session) == service
        assert await _get(http, f"/v1/services/{service['id']}", token=api_token) == service
        assert (await asyncio.to_thread(_read_secret, folder))[0] == setup_secret
        me = await _get(http, "/v1/me", token=setup_secret)
        assert me["admin_initialized"] is True


async def test_until_the_first_admin_exists_the_listener_stays_on_loopback(tmp_path: Path, free_port: int) -> None:
    secret = "x" * 64
    settings = {"listen_host": "0.0.0.0", "setup_secret": secret}
    other = f"http://127.0.0.2:{free_port}"  # 127.0.0.1 is served alone; another loopback address stands for outside
    async with ClientSession(other, timeout=ClientTimeout(total=5)) as outside:
        async with running_controld(tmp_path, port=free_port, **settings) as http:
            with pytest.raises(ClientConnectionError):
                await outside.get("/healthz")
            await _post(http, "/v1/bootstrap", {"username": "root", "password": "correct horse"}, token=secret)
            await _until_it_answers(outside)
            assert (await _get(http, "/v1/me", token=secret))["admin_initialized"] is True
        async with running_controld(tmp_path, port=free_port, **settings):
            assert await _answers(outside)


async def _until_it_answers(http: ClientSession) -> None:
    async with asyncio.timeout(5):
        while True:
            if await _answers(http):
                return
            await asyncio.sleep(0.02)


async def _answers(http: ClientSession) -> bool:
    try:
        async with http.get("/healthz") as answer:
            return answer.status == 200
    except ClientConnectionError:
        return False


def _read_secret(folder: Path) -> tuple[str, int]:
    file = folder / "setup-secret"
    return file.read_text().strip(), file.stat().st_mode & 0o777


async def _fail(folder: Path, *, port: int, **settings: str) -> tuple[int | None, str]:
    process = await start_controld(folder, port=port, **settings)
    _, said = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode()


async def test_a_second_controld_on_the_same_data_is_refused(tmp_path: Path, free_port: int) -> None:
    async with running_controld(tmp_path, port=free_port):
        code, said = await _fail(tmp_path, port=0)
    assert code == 1
    assert "another controld works in" in said


async def test_settings_that_cannot_be_are_all_told_at_once(tmp_path: Path) -> None:
    code, said = await _fail(tmp_path, port=70000, setup_secret="short", base_domain="no such domain")
    assert code == 2
    for name in ("listen_port", "setup_secret", "base_domain"):
        assert name in said


async def test_a_database_of_a_newer_release_is_told_in_one_line(tmp_path: Path, free_port: int) -> None:
    async with running_controld(tmp_path, port=free_port):
        pass
    await asyncio.to_thread(_set_revision, tmp_path / "controld.db")
    code, said = await _fail(tmp_path, port=free_port)
    assert code == 1
    assert "written by a newer release" in said
    assert "Traceback" not in said


def _set_revision(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
