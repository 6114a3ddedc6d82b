"""Soak a platform of its own, print what its daemons hold as it goes, and say whether it is flat.

The exit status is 1 when descriptors, threads or children do not come back, when memory grows on, or when a request
through the ingress failed. The platform goes with all it made, whatever ends this.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.platforms import local_image
from benchmarks.soak.run import Outcome, Soak, render_summary
from tests.e2e.platform import Platform, open_platform, run_down, run_up

_REST_SECONDS = 20.0


def main() -> int:
    """Soak for as long as the arguments say."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long cycles go on (default: %(default)g)")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with platform_of_its_own() as platform, local_image() as image:
            outcome = asyncio.run(_soak(platform, image, seconds=asked.minutes * 60))
    except KeyboardInterrupt:
        print("broken off; nothing is left", file=sys.stderr)
        return 130
    print(f"\n{render_summary(outcome)}\n\n{outcome.requests} requests through the ingress")
    for fault in outcome.faults:
        print(f"NOT FLAT: {fault}")
    return 1 if outcome.faults else 0


@contextlib.contextmanager
def platform_of_its_own() -> Iterator[Platform]:
    """A platform in a folder and on ports of its own; it goes with everything it made, and nobody can hurry that."""
    with tempfile.TemporaryDirectory(prefix="moorage-soak-") as folder:
        state = Path(folder) / "state"
        try:
            yield open_platform(state, run_up(state, "--no-example"))
        except BaseException:
            for log in sorted((state / "logs").glob("*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-20:], sep="\n", file=sys.stderr)
            raise
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            run_down(state, "--purge")


async def _soak(platform: Platform, image: str, *, seconds: float) -> Outcome:
    soak = Soak(platform, image=image, rest_seconds=_REST_SECONDS, say=lambda line: print(line, flush=True))
    return await soak.run(seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
