"""What facts of a node mean to somebody who asks why it does not work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kit.doctor.findings import Finding, Verdict, ok

CONTROLLERS: Final = ("cpu", "io", "memory", "pids")
_OLDEST_ENGINE: Final = (1, 41)
_OLDEST_PROXY: Final = (2, 6)
_LOG_DRIVERS: Final = ("json-file", "local")
_LEAST_INSTANCES: Final = 256
_LEAST_WATCHES: Final = 65_536
_LEAST_DATAGRAMS: Final = 128


def judge_cgroups(*, controllers: str | None, hybrid: bool, folder: str) -> Finding:
    """`controllers` is the text of `cgroup.controllers` at the mount, None where it is not there (no pure v2)."""
    if controllers is None:
        return Finding(
            check="cgroups",
            verdict=Verdict.WARN,
            found=f"{folder} is {'hybrid: version 2 beside version 1' if hybrid else 'version 1'}",
            means="memory and IO of containers come from version 1 or procfs where they can, else are null",
            mend="boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all",
        )
    missing = [name for name in CONTROLLERS if name not in controllers.split()]
    if missing:
        return Finding(
            check="cgroups",
            verdict=Verdict.WARN,
            found=f"version 2 without {', '.join(missing)}",
            means="limits and metrics of these do not work",
            mend="see cgroup_disable= in /proc/cmdline and whether this is a container that was not given them",
        )
    return ok("cgroups", f"version 2 with {', '.join(CONTROLLERS)}")


def judge_engine(version: Mapping[str, Any]) -> Finding:
    """From the engine's answer to `GET /version`."""
    number, spoken = str(version.get("Version", "?")), str(version.get("ApiVersion", "0"))
    found = f"version {number}, API {version.get('MinAPIVersion', '?')} to {spoken}"
    if _numbers(spoken) >= _OLDEST_ENGINE:
        return ok("engine", found)
    return Finding(
        check="engine",
        verdict=Verdict.FAIL,
        found=found,
        means="the agent speaks API 1.41 (Docker 20.10) or newer",
        mend="upgrade Docker Engine: apt-get install docker.io, or Docker's own packages",
    )


def judge_drivers(info: Mapping[str, Any]) -> list[Finding]:
    """From the engine's answer to `GET /info`: storage, logs, whether containers outlive the engine, its warnings."""
    findings = []
    storage = str(info.get("Driver", "?"))
    if storage == "vfs":
        findings.append(
            Finding(
                check="engine storage",
                verdict=Verdict.WARN,
                found="driver vfs",
                means="every container and layer is a whole copy: slow, and the disk fills",
                mend="put Docker's folder on ext4 or xfs, and use the driver overlay2",
            )
        )
    else:
        findings.append(ok("engine storage", f"driver {storage}"))
    logs = str(info.get("LoggingDriver", "?"))
    findings.append(
        ok("engine logs", f"default driver {logs}; our containers ask for json-file")
        if logs in _LOG_DRIVERS
        else ok("engine logs", f"default driver {logs} is not used by our containers, which ask for json-file")
    )
    if info.get("LiveRestoreEnabled"):
        findings.append(ok("engine restart", "live-restore is on"))
    else:
        findings.append(
            Finding(
                check="engine restart",
                verdict=Verdict.WARN,
                found="live-restore is off",
                means="an upgrade or a crash of Docker stops every container",
                mend='add "live-restore": true to /etc/docker/daemon.json, then systemctl reload docker',
            )
        )
    return findings


def judge_proxy_version(text: str) -> Finding:
    """From what `haproxy -v` prints."""
    found = re.search(r"HA-?Proxy version (\d+)\.(\d+)(\S*)", text)
    if found is None:
        return Finding(
            check="ingress program",
            verdict=Verdict.FAIL,
            found="its version cannot be read",
            means="this is not HAProxy",
            mend="apt-get install haproxy, or name the program by haproxy_binary",
        )
    shown = f"HAProxy {found[1]}.{found[2]}{found[3]}"
    if (int(found[1]), int(found[2])) >= _OLDEST_PROXY:
        return ok("ingress program", shown)
    return Finding(
        check="ingress program",
        verdict=Verdict.FAIL,
        found=shown,
        means="servers can be added at run time only from 2.6 on",
        mend="apt-get install haproxy from Debian 12 or Ubuntu 24.04 or newer",
    )


def judge_proxy_files(*, status: int, words: str) -> Finding:
    """From the check of its own files by the proxy, `haproxy -c`."""
    if status == 0:
        return ok("ingress files", "the proxy accepts them")
    last = next((line for line in reversed(words.splitlines()) if line.strip()), "no word")
    return Finding(
        check="ingress files",
        verdict=Verdict.FAIL,
        found=f"the proxy refuses them: {last.strip()}",
        means="the proxy does not come back from a restart",
        mend="restart the agent, which writes them anew: systemctl restart moorage-agent",
    )


def judge_program(name: str, *, path: str | None, needed_for: str, package: str) -> Finding:
    """A program that the agent runs; `path` is None where it is not found."""
    if path is not None:
        return ok(name, path)
    return Finding(
        check=name,
        verdict=Verdict.WARN,
        found="not installed",
        means=f"{needed_for} fail on this node",
        mend=f"apt-get install {package}",
    )


def judge_kernel(values: Mapping[str, int]) -> list[Finding]:
    """Limits of the kernel by their sysctl names; one that is missing is passed over."""
    wanted: Sequence[tuple[str, int, str]] = (
        ("fs.inotify.max_user_instances", _LEAST_INSTANCES, "following many logs falls back to slower ways"),
        ("fs.inotify.max_user_watches", _LEAST_WATCHES, "following many logs falls back to slower ways"),
        ("net.unix.max_dgram_qlen", _LEAST_DATAGRAMS, "lines of the access log are lost in a burst"),
    )
    return [
        _judge_limit(name, values[name], least=least, means=means) for name, least, means in wanted if name in values
    ]


def _judge_limit(name: str, value: int, *, least: int, means: str) -> Finding:
    if value >= least:
        return ok(name, str(value))
    return Finding(
        check=name,
        verdict=Verdict.WARN,
        found=f"{value}, fewer than {least}",
        means=means,
        mend=f"sysctl -w {name}={least}, and a file in /etc/sysctl.d that keeps it",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
