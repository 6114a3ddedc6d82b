"""Every setting of the agent; the environment's names are MOORAGE_AGENT_ and the setting in upper case."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

from kit.settings import at_least, describe, setting

PREFIX: Final = "MOORAGE_AGENT_"


def _port(value: Any) -> str | None:
    return None if 0 <= value <= 65535 else "must be a port from 0 to 65535"


def _positive(value: Any) -> str | None:
    return None if value > 0 else "must be more than 0"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can decide about an agent."""

    data_dir: Path = setting(
        Path("/var/lib/moorage/agent"), "Where identity, the last spec, archived logs and staged contexts are kept."
    )
    name: str = setting("", "What this machine calls itself when it enrols; empty: its host name.")
    listen_host: str = setting("0.0.0.0", "Address on which controld dials the agent.")
    listen_port: int = setting(7190, "Port on which controld dials the agent; 0: any free one.", check=_port)
    advertise_address: str = setting(
        "", "Address under which controld can dial this machine; empty: the one that enrolment comes from."
    )
    loopback_port: int = setting(
        7191, "Port on 127.0.0.1 for the proxy's challenge paths and the engine's pulls.", check=_port
    )
    control_url: str = setting(
        "", "controld's node side, `https://host:port`; empty: the one the join token named at enrolment."
    )
    retry_least_seconds: float = setting(
        0.5, "Shortest wait before the link is dialled again.", unit="s", check=_positive
    )
    retry_most_seconds: float = setting(
        30.0, "Longest wait before the link is dialled again.", unit="s", check=_positive
    )
    dial_timeout_seconds: float = setting(10.0, "How long dialling controld may take.", unit="s", check=_positive)

    docker_socket: Path = setting(Path("/var/run/docker.sock"), "Socket of the container engine.")
    engine_seconds: float = setting(
        30.0,
        "How long a call to the container engine may take; pulls, builds and the grace of a stop have their own time.",
        unit="s",
        check=_positive,
    )
    consoles_at_once: int = setting(64, "Consoles that may run on this node at one time.", check=at_least(1))
    log_max_bytes: int = setting(
        10 * 1024 * 1024, "Size at which a container's log file is rotated.", unit="bytes", check=at_least(64 * 1024)
    )
    log_max_files: int = setting(3, "Rotated log files kept for a container.", check=at_least(1))
    log_archive_days: float = setting(
        7.0, "Logs of removed containers are kept for so long.", unit="days", check=_positive
    )
    log_archive_service_bytes: int = setting(
        256 * 1024**2,
        "Most that they may take on disk for one service, compressed; the oldest go.",
        unit="bytes",
        check=at_least(0),
    )
    log_archive_bytes: int = setting(
        2 * 1024**3, "Most that they may take in all, compressed; the oldest go.", unit="bytes", check=at_least(0)
    )

    haproxy_binary: Path = setting(Path("/usr/sbin/haproxy"), "The proxy's program, which checks a new base file.")
    haproxy_dir: Path = setting(
        Path("/var/lib/moorage/haproxy"), "Where the proxy's base file, maps and certificates are kept."
    )
    haproxy_run_dir: Path = setting(
        Path("/run/moorage"),
        "Where the proxy's admin, master and access log sockets are made, and those that hold keys while a clone runs.",
    )
    haproxy_user: str = setting("", "User that the proxy's worker becomes once its ports are bound; empty: none.")
    haproxy_group: str = setting(
        "", "Group that the proxy's worker becomes, and that may send the access log; empty: the agent's own."
    )
    http_port: int = setting(80, "Port on which the proxy answers HTTP.", check=_port)
    https_port: int = setting(443, "Port on which the proxy answers HTTPS; 0: none.", check=_port)
    peer_port: int = setting(
        7192, "Port on which the proxy takes what other nodes hand over, over mutual TLS; 0: none.", check=_port
    )
    haproxy_pool: int = setting(512, "Backends declared ahead, one for each routed service.", check=at_least(1))
    requests_kept: int = setting(200, "Newest requests kept for each service.", check=at_least(1))

    sample_seconds: float = setting(5.0, "Pace of readings of containers and of the node.", unit="s", check=_positive)
    disk_path: Path = setting(Path("/"), "A path on the file system whose free space the node reports.")
    proc_dir: Path = setting(Path("/proc"), "Where procfs is mounted.")
    cgroup_dir: Path = setting(Path("/sys/fs/cgroup"), "Where cgroups are mounted.")

    build_memory_bytes: int = setting(
        2 * 1024**3, "Most memory that a build may use.", unit="bytes", check=at_least(64 * 1024**2)
    )
    build_cpu_millis: int = setting(
        2000, "Most CPU that a build may use, in thousandths of a core.", check=at_least(10)
    )
    builds_at_once: int = setting(2, "Builds and pulls at one time.", check=at_least(1))
    context_max_bytes: int = setting(
        2 * 1024**3,
        "Most bytes that a build's context may unpack to; also of a clone, with what git keeps beside it.",
        unit="bytes",
        check=at_least(1),
    )
    context_max_entries: int = setting(
        200_000, "Most files that a build's context or a clone may have.", check=at_least(1)
    )

    images_kept: int = setting(
        3, "Newest images of ours kept for each service, besides those that run.", check=at_least(0)
    )
    images_idle_seconds: float = setting(
        3600.0, "An image of ours without use for so long is removed.", unit="s", check=_positive
    )
    images_sweep_seconds: float = setting(600.0, "Pace of looking for images without use.", unit="s", check=_positive)

    stop_grace_seconds: float = setting(
        5.0, "How long open requests may go on when the agent stops.", unit="s", check=at_least(0)
    )
    log_level: str = setting(
        "info",
        "Least level of what is logged: debug, info, warning or error.",
        check=lambda value: None if value in {"debug", "info", "warning", "error"} else "is not a level",
    )


SETTINGS: Final = describe(Settings)
