"""Every setting of the control daemon."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

from controld.rules.hostnames import find_domain_problem
from kit.settings import Setting, at_least, describe, setting

PREFIX: Final = "MOORAGE_"


def _check_port(port: int) -> str | None:
    return None if 0 <= port <= 65535 else "must be a port from 0 to 65535"


def _check_domain(domain: str | None) -> str | None:
    return None if domain is None else find_domain_problem(domain.lower())


def _check_database(url: str | None) -> str | None:
    if url is None or url.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
        return None
    return "must start with sqlite+aiosqlite:/// or postgresql+asyncpg://"


def _check_secret(secret: str | None) -> str | None:
    return None if secret is None or len(secret) >= 64 else "must have at least 64 characters"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings, each from the file or from the environment under MOORAGE_ and its name in upper case."""

    data_dir: Path = setting(Path("/var/lib/moorage/controld"), "Where controld keeps its files.")
    database_url: str | None = setting(
        None, "The database; none: the SQLite file `controld.db` in `data_dir`.", check=_check_database
    )
    log_level: str = setting("info", "The least level of log lines: debug, info, warning or error.")

    listen_host: str = setting(
        "127.0.0.1",
        "The address of the public listener; until an admin exists it stays on 127.0.0.1 whatever this says.",
    )
    listen_port: int = setting(7180, "The port of the public listener; 0: any free one.", check=_check_port)
    node_listen_host: str = setting("0.0.0.0", "The address of the node side, where nodes speak over mutual TLS.")
    node_listen_port: int = setting(7181, "The port of the node side; 0: any free one.", check=_check_port)
    node_url: str | None = setting(
        None, "Where nodes reach the node side, `https://host:port`; none: this host's name and `node_listen_port`."
    )
    join_token_seconds: float = setting(900.0, "How long a join token may be used.", unit="seconds", check=at_least(1))
    beat_seconds: float = setting(
        5.0, "The pace of each node's heartbeats, stretched for a large fleet.", unit="seconds", check=at_least(0.1)
    )
    heartbeats_per_second: float = setting(
        2000.0,
        "Heartbeats of the whole fleet in a second at the most; the pace stretches to keep it.",
        check=at_least(1),
    )
    node_lost_seconds: float = setting(
        60.0,
        "A node that is silent for so long is lost; never before six beats.",
        unit="seconds",
        check=at_least(1),
    )
    base_domain: str = setting(
        "localhost",
        "Services get `<service>-<project>.<base_domain>`; it belongs to the platform.",
        check=_check_domain,
    )
    control_domain: str | None = setting(
        None, "The hostname under which the ingress leads to the public listener.", check=_check_domain
    )
    setup_secret: str | None = setting(
        None,
        "The token that may create the first admin; none: the file `setup-secret` in `data_dir`, made at first start.",
        check=_check_secret,
    )
    stop_grace_seconds: float = setting(
        20.0, "How long open requests may go on after SIGTERM.", unit="seconds", check=at_least(0)
    )

    session_seconds: float = setting(
        86_400.0, "A session ends this long after its last use.", unit="seconds", check=at_least(60)
    )
    session_limit_seconds: float = setting(
        604_800.0, "A session ends this long after sign-in, used or not.", unit="seconds", check=at_least(60)
    )
    requests_per_minute: int = setting(
        300,
        "Requests from one address to /v1 in any 60 seconds, counted before sign-in; 0: no limit.",
        check=at_least(0),
    )
    logins_per_minute: int = setting(
        5, "Sign-ins from one address, and for one account, in any 60 seconds.", check=at_least(1)
    )
    password_threads: int = setting(2, "How many passwords are checked at once.", check=at_least(1))

    upload_max_bytes: int = setting(
        512 * 1024**2, "Most bytes of an upload as it arrives.", unit="bytes", check=at_least(1)
    )
    upload_max_uncompressed_bytes: int = setting(
        2 * 1024**3, "Most bytes that an upload may unpack to.", unit="bytes", check=at_least(1)
    )
    upload_max_entries: int = setting(200_000, "Most files and directories in an upload.", check=at_least(1))
    upload_seconds: float = setting(
        3600.0, "An upload that is not deployed is dropped after so long.", unit="seconds", check=at_least(1)
    )
    uploads_at_once: int = setting(16, "Uploads that may arrive at one time.", check=at_least(1))

    deployments_at_once: int = setting(
        8, "Deployments that build or start at one time; others wait their turn.", check=at_least(1)
    )
    placement_seconds: float = setting(
        60.0, "A deployment that no node can take fails after so long.", unit="seconds", check=at_least(1)
    )
    build_seconds: float = setting(900.0, "Longest that a build may take.", unit="seconds", check=at_least(1))
    pull_seconds: float = setting(600.0, "Longest that an image pull may take.", unit="seconds", check=at_least(1))
    start_seconds: float = setting(
        60.0,
        "Longest that new replicas may take to become healthy; a longer health timeout of the service extends it.",
        unit="seconds",
        check=at_least(1),
    )
    drain_seconds: float = setting(
        300.0, "How long open requests of replaced replicas may go on.", unit="seconds", check=at_least(0)
    )
    build_memory_bytes: int = setting(
        2 * 1024**3, "Most memory of a build.", unit="bytes", check=at_least(64 * 1024**2)
    )
    build_cpu_millis: int = setting(2000, "Most CPU of a build, in thousandths of a core.", check=at_least(10))
    artifacts_kept: int = setting(5, "Newest artifacts kept for each service, to roll back to.", check=at_least(1))
    lease_seconds: float = setting(
        30.0,
        "A controld that dies in the middle of a step holds others off the deployment no longer than this.",
        unit="seconds",
        check=at_least(3),
    )

    registry_dir: Path | None = setting(
        None, "Where images' layers are kept; none: the folder `registry` in `data_dir`."
    )
    registry_max_blob_bytes: int = setting(
        10 * 1024**3, "Largest layer that the registry takes.", unit="bytes", check=at_least(1)
    )
    registry_max_manifest_bytes: int = setting(
        16 * 1024**2, "Largest manifest that the registry takes.", unit="bytes", check=at_least(1)
    )
    registry_upload_expiry_seconds: float = setting(
        86_400.0, "An upload of a layer ends when nothing has come for this long.", unit="seconds", check=at_least(60)
    )
    registry_sweep_seconds: float = setting(
        600.0, "How often expired uploads of layers are looked for.", unit="seconds", check=at_least(1)
    )
    registry_collect_seconds: float = setting(
        86_400.0, "How often layers that nothing needs are removed.", unit="seconds", check=at_least(60)
    )
    registry_grace_seconds: float = setting(
        3600.0, "A layer that no image needs is kept for this long.", unit="seconds", check=at_least(60)
    )


SETTINGS: Final[tuple[Setting, ...]] = describe(Settings)
