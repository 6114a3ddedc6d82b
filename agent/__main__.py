"""The agent's command: `moorage-agent run`, `join`, `ingress` and `doctor`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from agent.core.faults import NotEnrolled
from agent.daemon import enrol, make_doctor, prepare_ingress, run_agent
from agent.settings import PREFIX, Settings
from kit.doctor.findings import DEADLINE_SECONDS, examine
from kit.doctor.report import show
from kit.faults import Fault
from kit.logs import set_up_logs
from kit.settings import SettingsInvalid, read_settings
from wire.version import RELEASE

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_ENROLLED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the status is 0, 1 for a failure, 2 for bad settings, 3 where the machine is no node yet."""
    options = _parse(arguments)
    try:
        settings = read_settings(Settings, prefix=PREFIX, environment=os.environ, file=options.config)
        if options.command == "doctor":
            return uvloop.run(_examine(settings, as_json=options.json))
        set_up_logs(settings.log_level)
        match options.command:
            case "join":
                _join(settings, options.token_file)
            case "ingress":
                print(uvloop.run(prepare_ingress(settings)))
            case _:
                uvloop.run(_run(settings))
    except SettingsInvalid as fault:
        print(f"error: {fault.message}", file=sys.stderr)
        return EXIT_USAGE
    except NotEnrolled as fault:
        print(f"error: {fault.message}", file=sys.stderr)
        return EXIT_NOT_ENROLLED
    except (Fault, OSError, ValueError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, help="settings file in TOML")
    parser = argparse.ArgumentParser(prog="moorage-agent", description="The node agent of Moorage.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", parents=[common], help="run the agent in the foreground")
    join = commands.add_parser("join", parents=[common], help="make this machine a node")
    join.add_argument("--token-file", default="-", help="file that holds the join token; - reads standard input")
    commands.add_parser("ingress", parents=[common], help="write the files that HAProxy starts from")
    doctor = commands.add_parser("doctor", parents=[common], help="say what is wrong on this host and how to mend it")
    doctor.add_argument("--json", action="store_true", help="the findings as JSON")
    return parser.parse_args(arguments)


def _join(settings: Settings, token_file: str) -> None:
    word = sys.stdin.read() if token_file == "-" else Path(token_file).read_text()
    identity = uvloop.run(enrol(settings, word=word.strip(), host_name=socket.gethostname()))
    print(f"this machine is node {identity.name} ({identity.node_id})")


async def _examine(settings: Settings, *, as_json: bool) -> int:
    findings = await examine(
        make_doctor(settings, deadline_seconds=DEADLINE_SECONDS).checks(), deadline_seconds=DEADLINE_SECONDS
    )
    return show(findings, as_json=as_json)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_agent(settings, version=RELEASE, stop=stop)


if __name__ == "__main__":
    sys.exit(main())
