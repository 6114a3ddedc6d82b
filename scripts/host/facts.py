"""What an install finds on the machine: read once, ahead of the plan."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.host.places import UNITS, Places
from scripts.host.release import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What the container engine says of itself; `answers` False: nothing, for it does not run."""

    answers: bool = False
    live_restore: bool = False
    swarm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The state of the machine as far as one role goes."""

    python: str
    """The interpreter that the release's venv is made with."""
    releases: tuple[str, ...] = ()
    """Releases that stand complete."""
    current: str | None = None
    """The release that `current` leads to."""
    running: str | None = None
    """The release that the daemon's process was started from; None: it does not run."""
    units: Mapping[str, str | None]
    """The text of each of the role's units; None: it is missing."""
    has_settings: bool = False
    node_id: str | None = None
    """The node that this machine is enrolled as."""
    engine_settings: str | None = None
    engine: Engine = Engine()


def read_facts(role: Role, places: Places, *, python: str = sys.executable) -> Facts:
    """Look at the machine; nothing is changed."""
    return Facts(
        python=python,
        releases=tuple(
            sorted(
                marker.parent.name
                for marker in places.role_code(role).glob("*/complete")
                if not marker.parent.is_symlink()
            )
        ),
        current=_read_current(places.current(role)),
        running=_read_running(f"moorage-{role}.service", places.role_code(role)),
        units={unit: _read_text(places.units / unit) for unit in UNITS[role]},
        has_settings=places.settings_file(role).exists(),
        node_id=_read_node_id(places.state / "agent/identity/identity.json"),
        engine_settings=_read_text(places.engine_settings),
        engine=_read_engine() if role is Role.AGENT else Engine(),
    )


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _read_current(link: Path) -> str | None:
    try:
        return link.readlink().name
    except OSError:
        return None


def _read_running(unit: str, code: Path) -> str | None:
    pid = _ask("systemctl", "show", "--property=MainPID", "--value", unit)
    try:
        command = Path(f"/proc/{int(pid)}/cmdline").read_bytes().split(b"\0")[0].decode()
        return Path(command).relative_to(code).parts[0]
    except (OSError, ValueError, IndexError):
        return None


def _read_node_id(identity: Path) -> str | None:
    try:
        return str(json.loads(identity.read_text())["node_id"])
    except (OSError, ValueError, KeyError):
        return None


def _read_engine() -> Engine:
    told = _ask("docker", "info", "--format", "{{.ServerVersion}} {{.LiveRestoreEnabled}} {{.Swarm.LocalNodeState}}")
    words = told.split()
    if len(words) != 3:
        return Engine()
    return Engine(answers=True, live_restore=words[1] == "true", swarm=words[2] != "inactive")


def _ask(*arguments: str) -> str:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
