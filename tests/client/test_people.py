"""Who may sign in and what they may do, kept from the command line."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client import people
from client.config import Login, write_login
from client.faults import Refused
from tests.controld.app import PASSWORD, App


@pytest.fixture
async def config(app: App, tmp_path: Path) -> AsyncIterator[Path]:
    """A super-admin's login at a control daemon that runs."""
    file = tmp_path / "login.json"
    await app.add_user("root", super_admin=True)
    token = await app.token_of("root")
    async with app.serve() as http:
        await asyncio.to_thread(write_login, file, Login(url=str(http._base_url), token=token))
        yield file


def _type(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


async def test_a_user_is_made_given_roles_and_removed(
    app: App, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await app.add_project("shop")
    _type(monkeypatch, PASSWORD)
    await people.add_user(config, "ada", is_super_admin=False)
    assert capsys.readouterr().out.startswith("ada is ")
    await people.put_member(config, "shop", username="ada", role="viewer")
    await people.put_member(config, "shop", username="ada", role="operator")
    await people.show_members(config, "shop")
    assert capsys.readouterr().out == "ada\toperator\n"
    await people.put_member(config, "shop", username="ada", role=None)
    await people.show_members(config, "shop")
    assert capsys.readouterr().out == ""
    await people.change_user(config, "ada", {"is_super_admin": True})
    await people.show_users(config)
    assert [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["ada", "super-admin"],
        ["root", "super-admin"],
    ]
    await people.remove_user(config, "ada")
    with pytest.raises(people.NoSuchUser):
        await people.remove_user(config, "ada")
    with pytest.raises(Refused, match="last super-admin"):
        await people.remove_user(config, "root")


async def test_passwords_are_replaced_and_that_signs_out(
    app: App, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await app.add_user("ada")
    await app.sessions.sign_in("ada", PASSWORD, address="192.0.2.1")
    await people.sign_user_out(config, "ada")
    assert capsys.readouterr().out == "1 sessions ended\n"
    _type(monkeypatch, "quite another one")
    await people.change_user(config, "ada", None)
    await app.sessions.sign_in("ada", "quite another one", address="192.0.2.1")
    _type(monkeypatch, "wrong", "quite another one")
    with pytest.raises(Refused, match="the current one is wrong"):
        await people.change_password(config)
    _type(monkeypatch, PASSWORD, "quite another one")
    await people.change_password(config)
    await app.sessions.sign_in("root", "quite another one", address="192.0.2.1")


async def test_a_token_is_made_within_limits_listed_and_ended(
    app: App, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project_id = await app.add_project("shop")
    await people.add_token(config, "ci", project="shop", role="viewer", expires="2027-01-01T00:00:00Z")
    token = capsys.readouterr().out.strip()
    caller = await app.identities.recognise(token, address="192.0.2.1")
    assert caller is not None
    assert caller.project_limit == project_id
    await people.show_tokens(config, "root")
    name, limits, ends, used, token_id = capsys.readouterr().out.splitlines()[0].split("\t")
    assert (name, limits, ends, used) == ("ci", f"viewer {project_id}", "2027-01-01 00:00:00", "never used")
    await people.revoke_token(config, token_id)
    assert await app.identities.recognise(token, address="192.0.2.1") is None
