"""The control daemon's command: `moorage-controld [run|doctor] [--config FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from controld.daemon import run_controld
from controld.settings import PREFIX, Settings
from controld.store.data_dir import held_data_dir
from kit.clock import SystemClock
from kit.doctor.findings import DEADLINE_SECONDS, examine
from kit.doctor.report import show
from kit.faults import Fault
from kit.logs import set_up_logs
from kit.settings import SettingsInvalid, read_settings

EXIT_FAILED = 1
EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run controld until a signal, or look at its host; the status is 0, 1 for a failure, 2 for bad settings."""
    options = _parse(arguments)
    try:
        settings = read_settings(Settings, prefix=PREFIX, environment=os.environ, file=options.config)
        if options.command == "doctor":
            return uvloop.run(_examine(settings, as_json=options.json))
        set_up_logs(settings.log_level)
        with held_data_dir(settings.data_dir):
            uvloop.run(_run(settings))
    except SettingsInvalid as fault:
        print(f"error: {fault.message}", file=sys.stderr)
        return EXIT_USAGE
    except (Fault, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moorage-controld", description="The control daemon of Moorage.")
    parser.add_argument(
        "command",
        nargs="?",
        choices=["run", "doctor"],
        default="run",
        help="run in the foreground (the default), or say what is wrong on this host and how to mend it",
    )
    parser.add_argument("--json", action="store_true", help="the doctor's findings as JSON")
    parser.add_argument("--config", type=Path, help="settings file in TOML")
    return parser.parse_args(arguments)


async def _examine(settings: Settings, *, as_json: bool) -> int:
    from controld.parts.doctor import ControlDoctor

    findings = await examine(ControlDoctor(settings, clock=SystemClock()).checks(), deadline_seconds=DEADLINE_SECONDS)
    return show(findings, as_json=as_json)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_controld(settings, stop=stop)


if __name__ == "__main__":
    sys.exit(main())
