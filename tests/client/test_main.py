"""What the command line says, and with which status it ends, when something is in its way."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from client.__main__ import EXIT_FAILED, EXIT_UNREAD, main
from client.api import Api
from client.config import Login, write_login
from client.faults import Refused
from tests.controld.app import SETUP_SECRET, App
from tests.serving import serve_app


@pytest.fixture
async def url(app: App) -> AsyncIterator[str]:
    """Where a control daemon is."""
    async with app.serve() as http:
        yield str(http._base_url)


async def run(file: Path, login: Login, *words: str) -> int:
    """Run the command with that login."""
    await asyncio.to_thread(write_login, file, login)
    return await asyncio.to_thread(main, ["--config", str(file), *words])


async def test_it_ends_quietly_when_nobody_reads_on(
    app: App, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    await app.add_project("told-of")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr("sys.stdout", output)
        status = await run(tmp_path / "login.json", Login(url=url, token=SETUP_SECRET), "audit")
        monkeypatch.undo()
    assert (status, capfd.readouterr().err) == (EXIT_UNREAD, "")


async def test_projects_are_listed_and_a_wrong_one_says_so(
    app: App, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project_id = await app.add_project("shop")
    login = Login(url=url, token=SETUP_SECRET)
    assert await run(tmp_path / "login.json", login, "projects") == 0
    assert f"shop\t{project_id}\t" in capfd.readouterr().out
    assert await run(tmp_path / "login.json", login, "registries", "shoop") == EXIT_FAILED
    assert "`moorage projects` lists those" in capfd.readouterr().err


async def test_a_login_that_is_not_valid_any_more_is_said_to_be_so(
    url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await run(tmp_path / "login.json", Login(url=url, token="moor_gone"), "services") == EXIT_FAILED
    said = "error: the login is not valid, or no longer: run `moorage login URL`\n"
    assert capfd.readouterr().err == said


async def test_what_answers_and_is_not_controld_is_said_to_be_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<p>welcome")

    other = web.Application()
    other.router.add_get("/{path:.*}", answer)
    async with serve_app(other) as address:
        login = Login(url=f"http://{address}", token="x")
        assert await run(tmp_path / "login.json", login, "services") == EXIT_FAILED
    assert "is controld there" in capfd.readouterr().err


async def test_an_address_without_a_scheme_is_said_to_lack_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    file = tmp_path / "login.json"
    assert await asyncio.to_thread(main, ["--config", str(file), "login", "127.0.0.1:7180"]) == EXIT_FAILED
    assert "write http:// or https:// ahead of it" in capfd.readouterr().err
    assert not await asyncio.to_thread(file.exists)


async def test_an_id_that_is_a_path_stays_an_id(app: App, url: str) -> None:
    project_id = await app.add_project("kept")
    async with Api(url, token=SETUP_SECRET) as api:
        with pytest.raises(Refused, match="token_id is not a UUID"):
            await api.revoke_token(f"../projects/{project_id}")
        assert project_id in {project.id for project in await api.list_projects()}


async def test_a_log_is_followed_or_exported(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        await asyncio.to_thread(main, ["logs", "web", "--follow", "--export", "web.log"])
    assert "not allowed with" in capfd.readouterr().err
