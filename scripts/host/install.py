"""Install, upgrade or remove a daemon of ours on this machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.host.facts import read_facts
from scripts.host.perform import Performer, StepFailed
from scripts.host.places import Places
from scripts.host.plan import CannotInstall, Wish, plan_install, plan_uninstall
from scripts.host.release import Role, read_release, read_template
from scripts.host.steps import Step, render_dry_run


def plan(options: argparse.Namespace, places: Places) -> tuple[Step, ...]:
    """Every step that the options ask for on this machine."""
    if options.uninstall:
        roles = [options.role] if options.role else [Role.AGENT, Role.CONTROLD]
        return tuple(
            step
            for role in roles
            for step in plan_uninstall(role, read_facts(role, places), places=places, purge=options.purge)
        )
    wish = Wish(
        wheels=options.wheels.resolve() if options.wheels else None,
        has_token=options.join_stdin,
        fresh_haproxy=options.fresh_haproxy,
        settings=dict(options.set),
    )
    release = read_release(options.role, python=sys.executable + sys.version)
    facts = read_facts(options.role, places)
    return plan_install(release, facts, wish, places=places, read_template=read_template)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; a mistake ends the program with status 2."""
    parser = argparse.ArgumentParser(prog="scripts/install", description=__doc__)
    parser.add_argument("role", nargs="?", type=Role, choices=list(Role), metavar="controld|agent")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="take Python packages from this folder, no index")
    parser.add_argument(
        "--set", type=_parse_setting, action="append", default=[], metavar="NAME=VALUE", help="for a new settings file"
    )
    parser.add_argument("--uninstall", action="store_true", help="stop and remove it; settings and state stay")
    parser.add_argument("--purge", action="store_true", help="with --uninstall: settings and state too")
    parser.add_argument("--dry-run", action="store_true", help="print every step and file; touch nothing")
    parser.add_argument("--join-stdin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--fresh-haproxy", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.role is None and not options.uninstall:
        parser.error("say what to install: controld or agent")
    if options.purge and not options.uninstall:
        parser.error("--purge goes with --uninstall")
    if options.join_stdin and (options.uninstall or options.role is not Role.AGENT):
        parser.error("--join goes with installing the agent")
    if options.wheels and not options.wheels.is_dir():
        parser.error(f"--wheels: no folder {options.wheels}")
    return options


def main() -> int:
    """Run with the arguments of the command line; the status is 0, or 1 for a step that failed."""
    options = parse(sys.argv[1:])
    token = sys.stdin.read().strip() if options.join_stdin else None
    os.umask(0o022)
    try:
        steps = plan(options, Places())
        if options.dry_run:
            print(render_dry_run(steps), end="")
            return 0
        performer = Performer(token=token, say=_say)
        for step in steps:
            performer.perform(step)
    except (CannotInstall, StepFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _say(words: str) -> None:
    print(f"==> {words}", file=sys.stderr, flush=True)


def _parse_setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
