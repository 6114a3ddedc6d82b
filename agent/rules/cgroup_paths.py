"""Where a container's cgroups lie, from what the kernel says of its first process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

UNIFIED: Final = ""
"""The key of the cgroup v2 hierarchy among v1 controllers."""


def parse_cgroups(text: str) -> dict[str, str]:
    """The path of a process in the hierarchy of each v1 controller, and of v2 as `UNIFIED`, from `/proc/<pid>/cgroup`.

    Lines that cannot be understood are passed over.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        number, first, rest = line.partition(":")
        controllers, second, path = rest.partition(":")
        if not first or not second or not path.startswith("/"):
            continue
        if number == "0" and not controllers:
            found[UNIFIED] = path
        else:
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def list_folders(controller: str, container_id: str, cgroups: Mapping[str, str]) -> list[str]:
    """Folders below the mount of cgroups that may be the container's for the controller, likeliest first.

    `UNIFIED` asks for v2. Only paths that name the container count: any other belongs to a process that got its pid, or
    to a cgroup that it shares. Behind those the process tells come those the engine is known to use.
    """
    mounts = ["unified", ""] if controller == UNIFIED else [controller, "cpu,cpuacct"]
    if controller not in {UNIFIED, "cpuacct"}:
        mounts = [controller]
    told = [path.lstrip("/") for path in [cgroups.get(controller)] if path and container_id in path]
    usual = [f"docker/{container_id}", f"system.slice/docker-{container_id}.scope"]
    paths = told + [path for path in usual if path not in told]
    return [f"{mount}/{path}" if mount else path for path in paths for mount in mounts]
