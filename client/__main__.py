"""The command line: `moorage login`, `services`, `deployments`, `push`, `redeploy`, `logs`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from client import commands
from client.config import default_path
from kit.faults import Fault
from wire.version import RELEASE

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the status is 0, or 1 for whatever did not work."""
    options = _parse(arguments)
    try:
        return asyncio.run(_run(options))
    except (Fault, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


async def _run(options: argparse.Namespace) -> int:
    succeeded = True
    match options.command:
        case "login":
            await commands.log_in(
                options.config, url=options.url, username=options.username, use_token=options.with_token
            )
        case "services":
            await commands.show_services(options.config)
        case "deployments":
            await commands.show_deployments(options.config, options.service)
        case "push":
            succeeded = await commands.push(
                options.config, options.service, folder=options.folder, dockerfile=options.dockerfile
            )
        case "redeploy":
            succeeded = await commands.redeploy(options.config, options.service)
        case _:
            await commands.follow_logs(options.config, options.service)
    return 0 if succeeded else EXIT_FAILED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moorage", description="Speak to a Moorage control daemon.")
    parser.add_argument("--version", action="version", version=RELEASE)
    parser.add_argument("--config", type=Path, default=default_path(), help="file that holds the login")
    commands_ = parser.add_subparsers(dest="command", required=True)
    login = commands_.add_parser("login", help="log in; the password or token is asked for, or read from a pipe")
    login.add_argument("url", help="where controld is, such as http://127.0.0.1:7180")
    login.add_argument("--username", default="admin")
    login.add_argument("--with-token", action="store_true", help="take an API token instead of a password")
    commands_.add_parser("services", help="list services, how they stand and where they are")
    _service(commands_.add_parser("deployments", help="list a service's deployments, newest first"))
    push = _service(commands_.add_parser("push", help="build and deploy a folder that has a Dockerfile"))
    push.add_argument("folder", type=Path, nargs="?", default=Path())
    push.add_argument("--dockerfile", default="Dockerfile", help="its path in the folder")
    _service(commands_.add_parser("redeploy", help="deploy what runs once more"))
    _service(commands_.add_parser("logs", help="print a service's log and follow it"))
    return parser.parse_args(arguments)


def _service(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("service", help="its name, project/name, or id")
    return parser


if __name__ == "__main__":
    sys.exit(main())
