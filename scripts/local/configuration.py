"""The settings files and the commands of a local platform's processes."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Final

from scripts.local.places import Places, Ports

ROOT: Final = Path(__file__).resolve().parents[2]
_SHARED: Final = ("kit", "wire")
_HEAPS: Final = "MALLOC_ARENA_MAX=2"
"""As in the daemons' units."""


def render_controld_settings(places: Places, ports: Ports) -> str:
    """Controld's settings, in TOML."""
    return _render(
        data_dir=str(places.controld),
        listen_host="127.0.0.1",
        listen_port=ports.api,
        node_listen_host="127.0.0.1",
        node_listen_port=ports.node_side,
        node_url=f"https://127.0.0.1:{ports.node_side}",
        base_domain="localhost",
    )


def render_agent_settings(places: Places, ports: Ports) -> str:
    """The agent's settings, in TOML."""
    return _render(
        data_dir=str(places.agent),
        listen_host="127.0.0.1",
        listen_port=ports.agent,
        advertise_address="127.0.0.1",
        loopback_port=ports.agent_loopback,
        haproxy_dir=str(places.state / "haproxy"),
        haproxy_run_dir=str(places.run),
        http_port=ports.http,
        https_port=ports.https,
        peer_port=ports.peer,
    )


def render_programs(places: Places) -> dict[str, str]:
    """A command for each process, by name; a change of the program's own code changes its command."""
    haproxy = places.state / "haproxy"
    prepare = f"PYTHONPATH={ROOT} {sys.executable} -P -m agent ingress --config {places.agent_settings} >/dev/null"
    run = f"exec haproxy -W -db -S {places.run}/master.sock -f {haproxy}/base.cfg -f {haproxy}/pool.cfg"
    return {
        "controld": _python("controld", places.controld_settings),
        "agent": _python("agent", places.agent_settings),
        "haproxy": f"/bin/sh -c '{prepare} && {run}'",
    }


def _python(program: str, settings: Path) -> str:
    revision = _revision(program)
    environment = f"PYTHONPATH={ROOT} MOORAGE_REVISION={revision} {_HEAPS}"
    return f"/usr/bin/env {environment} {sys.executable} -P -m {program} run --config {settings}"


def _revision(program: str) -> str:
    digest = hashlib.sha256()
    for folder in (program, *_SHARED):
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _render(**settings: str | int) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
