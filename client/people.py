"""`moorage users`, `members`, `tokens` and `password`: who may sign in, with what, and what they may do."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any

from client.api import Api
from client.messages import User
from client.opening import open_api
from client.projects import find_project
from kit.faults import NotFound


class NoSuchUser(NotFound):
    """No user of that name."""

    code = "no_such_user"


async def show_users(config: Path) -> None:
    """A line for each user: name, whether they are a super-admin, id."""
    async with open_api(config) as api:
        for user in await api.list_users():
            print(f"{user.username}\t{'super-admin' if user.is_super_admin else ''}\t{user.id}")


async def add_user(config: Path, username: str, *, is_super_admin: bool) -> None:
    """Make a user whose password is asked for, or read from a pipe."""
    body = {"username": username, "password": _read_secret("password"), "is_super_admin": is_super_admin}
    async with open_api(config) as api:
        print(f"{username} is {(await api.create_user(body)).id}")


async def change_user(config: Path, username: str, change: dict[str, Any] | None) -> None:
    """Make or unmake a super-admin; without a change, replace the password, which is asked for."""
    body = change or {"password": _read_secret("new password")}
    async with open_api(config) as api:
        await api.change_user((await _find(api, username)).id, body)


async def sign_user_out(config: Path, username: str) -> None:
    """End all sessions of a user."""
    async with open_api(config) as api:
        print(f"{await api.end_sessions_of((await _find(api, username)).id)} sessions ended")


async def remove_user(config: Path, username: str) -> None:
    """Delete a user with all that they sign in with."""
    async with open_api(config) as api:
        await api.delete_user((await _find(api, username)).id)


async def show_members(config: Path, project: str) -> None:
    """A line for each member of a project: name, role."""
    async with open_api(config) as api:
        names = {user.id: user.username for user in await api.list_directory()}
        for member in await api.list_members(await find_project(api, project)):
            print(f"{names.get(member.user_id, member.user_id)}\t{member.role}")


async def put_member(config: Path, project: str, *, username: str, role: str | None) -> None:
    """Give a user a role in a project, in place of the one they had; None takes it away."""
    async with open_api(config) as api:
        project_id, user = await find_project(api, project), await _find(api, username)
        if role is None:
            await api.remove_member(project_id, user.id)
        else:
            await api.put_member(project_id, user.id, role=role)


async def show_tokens(config: Path, username: str | None) -> None:
    """A line for each API token: name, limits, when it ends, when it was last used, id."""
    async with open_api(config) as api:
        user_id = None if username is None else (await _find(api, username)).id
        for token in await api.list_tokens(user_id):
            limits = " ".join(part for part in (token.role, token.project_id) if part is not None)
            ends = "" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d %H:%M:%S}"
            used = "never used" if token.last_used_at is None else f"{token.last_used_at:%Y-%m-%d %H:%M:%S}"
            print(f"{token.name}\t{limits}\t{ends}\t{used}\t{token.id}")


async def add_token(config: Path, name: str, *, project: str | None, role: str | None, expires: str | None) -> None:
    """Make an API token within these limits and print it, this once."""
    async with open_api(config) as api:
        limits = {
            "project_id": None if project is None else await find_project(api, project),
            "role": role,
            "expires_at": expires,
        }
        print((await api.make_token(name, limits=limits)).token)


async def revoke_token(config: Path, token_id: str) -> None:
    """End an API token."""
    async with open_api(config) as api:
        await api.revoke_token(token_id)


async def change_password(config: Path) -> None:
    """Replace one's own password; both are asked for, or read from a pipe, a line each."""
    present, new = _read_secret("present password"), _read_secret("new password")
    async with open_api(config) as api:
        await api.change_password(present=present, new=new)


async def _find(api: Api, username: str) -> User:
    for user in await api.list_directory():
        if username in {user.username, user.id}:
            return user
    raise NoSuchUser(f"cannot find the user {username}")


def _read_secret(what: str) -> str:
    return sys.stdin.readline().strip() if not sys.stdin.isatty() else getpass.getpass(f"{what}: ")
