"""How git and ssh are set up for a clone: no program but theirs, no host but the one that was looked at."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kit.git_url import GitUrl

_SETTINGS: Final = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.symlinks", "true"),
    ("core.autocrlf", "false"),
    ("core.packedGitWindowSize", "32m"),
    ("core.packedGitLimit", "256m"),
    ("core.bigFileThreshold", "16m"),
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "60"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("init.defaultBranch", "main"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
)
_SSH: Final = """Host *
  HostName {address}
  HostKeyAlias {alias}
  UserKnownHostsFile {known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  CheckHostIP no
  IdentityFile none
  PreferredAuthentications publickey
  BatchMode yes
  ForwardAgent no
  ClearAllForwardings yes
  PermitLocalCommand no
  ControlMaster no
  ControlPath none
  ConnectTimeout 15
  ServerAliveInterval 15
  ServerAliveCountMax 4
  LogLevel ERROR
"""


def render_settings(
    url: GitUrl, *, addresses: Sequence[str], threads: int, authorities: Path | None
) -> tuple[tuple[str, str], ...]:
    """Git's settings for one repository; its host leads to these addresses whatever its name says a moment later."""
    settings = [*_SETTINGS, ("pack.threads", str(threads)), ("index.threads", str(threads)), ("credential.helper", "")]
    if url.scheme != "ssh":
        pinned = ",".join(f"[{each}]" if ":" in each else each for each in addresses)
        host = f"[{url.host}]" if ":" in url.host else url.host
        settings.append(("http.curloptResolve", f"{host}:{url.port}:{pinned}"))
    if authorities is not None:
        settings.append(("http.sslCAInfo", str(authorities)))
    return tuple(settings)


def render_ssh(url: GitUrl, *, addresses: Sequence[str], known_hosts: Path) -> str:
    """The whole configuration of ssh for one repository; keys come from the agent that the environment names."""
    return _SSH.format(address=addresses[0], alias=url.known_host, known_hosts=f'"{known_hosts}"')


def render_environment(*, ssh: Path, home: Path, allow_http: bool) -> dict[str, str]:
    """What git's environment says besides PATH: no settings of the machine's, no prompts, no other protocol."""
    return {
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": "https:ssh:http" if allow_http else "https:ssh",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_SSH_VARIANT": "ssh",
        "GIT_SSH_COMMAND": shlex.join(["ssh", "-F", str(ssh)]),
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_ADVICE": "0",
    }
