"""Stop a local platform; with `--purge` remove its containers, images and files too."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.local.places import Places
from scripts.local.say import say
from scripts.local.supervision import Supervisor


def take_down(places: Places, *, purge: bool) -> None:
    """Stop the processes, then the node's containers; with `purge` remove what the platform made on this machine."""
    supervisor = Supervisor(places)
    if supervisor.is_running():
        say("stopping controld, agent and HAProxy")
        supervisor.stop()
    node_id = _node_id(places)
    if node_id is not None:
        label = f"label=moorage.node={node_id}"
        _each("containers", ["ps", "-q", "--filter", label], ["stop", "-t", "10"])
        if purge:
            _each("containers", ["ps", "-aq", "--filter", label], ["rm", "-f", "-v"])
            _each("images", ["images", "-q", "--filter", label], ["rmi", "-f"])
            _each("networks", ["network", "ls", "-q", "--filter", label], ["network", "rm"])
    if purge and places.state.exists():
        say(f"removing {places.state}")
        shutil.rmtree(places.state)


def _node_id(places: Places) -> str | None:
    try:
        return str(json.loads(places.up.read_text())["node_id"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _each(what: str, listing: list[str], action: list[str]) -> None:
    found = _docker(*listing).split()
    if found:
        say(f"{what}: docker {action[0]} {len(found)}")
        _docker(*action, *dict.fromkeys(found))


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        say(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="scripts/down", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".moorage"), help="the state folder of scripts/up")
    parser.add_argument("--purge", action="store_true", help="remove containers, images and files of ours")
    options = parser.parse_args(sys.argv[1:])
    take_down(Places(options.state.resolve()), purge=options.purge)


if __name__ == "__main__":
    main()
