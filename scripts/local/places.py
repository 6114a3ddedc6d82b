"""Where a local platform keeps its files, and which ports it took."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit.files import replace_file


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """TCP ports of one local platform, chosen once and kept."""

    api: int
    node_side: int
    agent: int
    agent_loopback: int
    http: int
    https: int
    peer: int = 0
    """0: an earlier `up` knew of none."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files below the state folder."""

    state: Path

    @property
    def ports(self) -> Path:
        """The ports that were chosen."""
        return self.state / "ports.json"

    @property
    def up(self) -> Path:
        """What a program needs to know of this platform."""
        return self.state / "up.json"

    @property
    def controld(self) -> Path:
        """Controld's data."""
        return self.state / "controld"

    @property
    def agent(self) -> Path:
        """The agent's data."""
        return self.state / "agent"

    @property
    def logs(self) -> Path:
        """What the processes say."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Sockets and process ids."""
        return self.state / "run"

    @property
    def admin_password(self) -> Path:
        """The password of the user `admin`, readable by its owner only."""
        return self.state / "admin-password"

    @property
    def admin_token(self) -> Path:
        """An API token of the user `admin`, readable by its owner only."""
        return self.state / "admin-token"

    @property
    def controld_settings(self) -> Path:
        """Controld's settings file."""
        return self.state / "controld.toml"

    @property
    def agent_settings(self) -> Path:
        """The agent's settings file."""
        return self.state / "agent.toml"

    @property
    def supervisor(self) -> Path:
        """The configuration of the process that keeps the others alive."""
        return self.state / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        """Where that process listens."""
        return self.run / "supervisor.sock"

    def make(self) -> None:
        """Make the folders, closed to others."""
        for folder in (self.state, self.controld, self.agent, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write_secret(self, path: Path, text: str) -> None:
        """Write a file that its owner alone may read, whole or not at all."""
        replace_file(path, text.encode())


def read_ports(places: Places) -> Ports | None:
    """The ports that an earlier `up` chose, or None."""
    try:
        return msgspec.json.decode(places.ports.read_bytes(), type=Ports)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def choose_ports(earlier: Ports | None, *, api: int | None, http: int | None, https: int | None) -> Ports:
    """The ports asked for, else those of the earlier run, else free ones."""
    taken: set[int] = {port for port in (api, http, https) if port is not None}
    fresh = _FreePorts(taken)
    return Ports(
        api=api or (earlier.api if earlier else fresh.take(7180)),
        node_side=earlier.node_side if earlier else fresh.take(7181),
        agent=earlier.agent if earlier else fresh.take(7190),
        agent_loopback=earlier.agent_loopback if earlier else fresh.take(7191),
        http=http or (earlier.http if earlier else fresh.take(8080)),
        https=https or (earlier.https if earlier else fresh.take(8443)),
        peer=(earlier.peer if earlier else 0) or fresh.take(7192),
    )


class _FreePorts:
    def __init__(self, taken: set[int]) -> None:
        self._taken = taken

    def take(self, preferred: int) -> int:
        """The preferred port where it is free, else the next free one above it."""
        for port in range(preferred, 65536, 10):
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port
        raise RuntimeError(f"cannot find a free TCP port above {preferred}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True
