"""Each command about people reaches what it names."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest

from client import people
from client.people_arguments import add_people, run_people


@pytest.mark.parametrize(
    ("words", "function", "given"),
    [
        ("users list", "show_users", ()),
        ("users add ada --super-admin", "add_user", ("ada", True)),
        ("users password ada", "change_user", ("ada", None)),
        ("users promote ada", "change_user", ("ada", {"is_super_admin": True})),
        ("users demote ada", "change_user", ("ada", {"is_super_admin": False})),
        ("users sign-out ada", "sign_user_out", ("ada",)),
        ("users remove ada", "remove_user", ("ada",)),
        ("members list shop", "show_members", ("shop",)),
        ("members set shop ada viewer", "put_member", ("shop", "ada", "viewer")),
        ("members remove shop ada", "put_member", ("shop", "ada", None)),
        ("tokens list", "show_tokens", (None,)),
        ("tokens list --user ada", "show_tokens", ("ada",)),
        ("tokens add ci --role viewer", "add_token", ("ci", None, "viewer", None)),
        ("tokens revoke x", "revoke_token", ("x",)),
        ("password", "change_password", ()),
    ],
)
async def test_a_command_runs_what_it_says(
    monkeypatch: pytest.MonkeyPatch, words: str, function: str, given: tuple[Any, ...]
) -> None:
    called: list[tuple[Any, ...]] = []

    async def note(config: Path, *arguments: Any, **named: Any) -> None:
        assert config == Path("login")
        called.append((*arguments, *named.values()))

    monkeypatch.setattr(people, function, note)
    await run_people(await asyncio.to_thread(_parse, words))
    assert called == [given]


def _parse(words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_people(parser.add_subparsers(dest="command"))
    return parser.parse_args(words.split(), argparse.Namespace(config=Path("login")))
