"""Where things stand on a machine with our daemons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.host.release import Role

UNITS: Final = {
    Role.CONTROLD: ("moorage-controld.service",),
    Role.AGENT: ("moorage-haproxy.service", "moorage-agent.service"),
}
"""Each role's units, in the order in which they start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The paths, all below `top`, which is / but in tests."""

    top: Path = Path("/")

    @property
    def code(self) -> Path:
        """A folder for each role, with its releases and the link `current`."""
        return self.top / "opt/moorage"

    @property
    def settings(self) -> Path:
        """The daemons' settings files."""
        return self.top / "etc/moorage"

    @property
    def state(self) -> Path:
        """What outlives a reboot."""
        return self.top / "var/lib/moorage"

    @property
    def run(self) -> Path:
        """Sockets."""
        return self.top / "run/moorage"

    @property
    def units(self) -> Path:
        """The operator's units."""
        return self.top / "etc/systemd/system"

    @property
    def commands(self) -> Path:
        """Where commands are linked."""
        return self.top / "usr/local/bin"

    @property
    def sysctl(self) -> Path:
        """The kernel's settings for a node."""
        return self.top / "etc/sysctl.d/60-moorage.conf"

    @property
    def sysusers(self) -> Path:
        """The control daemon's user."""
        return self.top / "etc/sysusers.d/moorage.conf"

    @property
    def engine_settings(self) -> Path:
        """The engine's settings, which are the operator's."""
        return self.top / "etc/docker/daemon.json"

    def settings_file(self, role: Role) -> Path:
        """The settings of a role's daemon."""
        return self.settings / f"{role}.toml"

    def role_code(self, role: Role) -> Path:
        """A role's releases."""
        return self.code / role

    def current(self, role: Role) -> Path:
        """The link to the release that starts next."""
        return self.role_code(role) / "current"

    def release(self, role: Role, name: str) -> Path:
        """One release."""
        return self.role_code(role) / name
