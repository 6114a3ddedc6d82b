"""What `moorage users`, `members`, `tokens` and `password` take, and what they run."""

from __future__ import annotations

import argparse

from client import people

COMMANDS = frozenset({"users", "members", "tokens", "password"})


def add_people(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add these commands."""
    _users(commands.add_parser("users", help="who may sign in"))
    _members(commands.add_parser("members", help="who has which role in a project"))
    _tokens(commands.add_parser("tokens", help="API tokens"))
    commands.add_parser("password", help="change your own password; both are asked for, or read from a pipe")


async def run_people(options: argparse.Namespace) -> None:
    """Run the one that was asked for."""
    match options.command, getattr(options, "what", None):
        case "users", "add":
            await people.add_user(options.config, options.username, is_super_admin=options.super_admin)
        case "users", "password":
            await people.change_user(options.config, options.username, None)
        case "users", ("promote" | "demote") as word:
            await people.change_user(options.config, options.username, {"is_super_admin": word == "promote"})
        case "users", "sign-out":
            await people.sign_user_out(options.config, options.username)
        case "users", "remove":
            await people.remove_user(options.config, options.username)
        case "users", _:
            await people.show_users(options.config)
        case "members", "set":
            await people.put_member(options.config, options.project, username=options.username, role=options.role)
        case "members", "remove":
            await people.put_member(options.config, options.project, username=options.username, role=None)
        case "members", _:
            await people.show_members(options.config, options.project)
        case "tokens", "add":
            await people.add_token(
                options.config, options.name, project=options.project, role=options.role, expires=options.expires
            )
        case "tokens", "revoke":
            await people.revoke_token(options.config, options.token)
        case "tokens", _:
            await people.show_tokens(options.config, options.user)
        case _:
            await people.change_password(options.config)


def _users(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("list", help="list users")
    for word, sentence in (
        ("add", "make a user; the password is asked for, or read from a pipe"),
        ("password", "replace a user's password, which ends their sessions"),
        ("promote", "make a user a super-admin"),
        ("demote", "make a super-admin an ordinary user"),
        ("sign-out", "end all sessions of a user"),
        ("remove", "delete a user with their sessions, tokens and roles"),
    ):
        each = what.add_parser(word, help=sentence)
        each.add_argument("username", help="their name" if word == "add" else "their name or id")
        if word == "add":
            each.add_argument("--super-admin", action="store_true")


def _members(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    for word, sentence in (
        ("list", "list a project's members"),
        ("set", "give a user a role, in place of the one they had"),
        ("remove", "take a user's role"),
    ):
        each = what.add_parser(word, help=sentence)
        each.add_argument("project", help="its name or id")
        if word != "list":
            each.add_argument("username", help="their name or id")
        if word == "set":
            each.add_argument("role", choices=("viewer", "operator", "admin"))


def _tokens(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    listed = what.add_parser("list", help="list your API tokens")
    listed.add_argument("--user", help="those of another user, for super-admins")
    added = what.add_parser("add", help="make an API token and print it, this once")
    added.add_argument("name")
    added.add_argument("--project", help="the only project that it reaches")
    added.add_argument("--role", choices=("viewer", "operator", "admin"), help="the highest role that it gives")
    added.add_argument("--expires", metavar="MOMENT", help="such as 2027-01-01T00:00:00Z")
    revoked = what.add_parser("revoke", help="end an API token")
    revoked.add_argument("token", help="its id")
