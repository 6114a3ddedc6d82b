"""Every setting of the control daemon."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

from controld.rules.setting_values import (
    check_address,
    check_database,
    check_domain,
    check_email,
    check_https,
    check_label,
    check_networks,
    check_port,
    check_ports,
    check_recipients,
    check_secret,
    check_servers,
    check_token_url,
)
from kit.settings import Setting, at_least, describe, setting

PREFIX: Final = "MOORAGE_"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings, each from the file or from the environment under MOORAGE_ and its name in upper case."""

    data_dir: Path = setting(Path("/var/lib/moorage/controld"), "Where controld keeps its files.")
    database_url: str | None = setting(
        None, "The database; none: the SQLite file `controld.db` in `data_dir`.", check=check_database
    )
    log_level: str = setting("info", "The least level of log lines: debug, info, warning or error.")

    listen_host: str = setting(
        "127.0.0.1",
        "The address of the public listener; until an admin exists it stays on 127.0.0.1 whatever this says.",
    )
    listen_port: int = setting(7180, "The port of the public listener; 0: any free one.", check=check_port)
    node_listen_host: str = setting("0.0.0.0", "The address of the node side, where nodes speak over mutual TLS.")
    node_listen_port: int = setting(7181, "The port of the node side; 0: any free one.", check=check_port)
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
    node_headroom_cpu_millis: int = setting(
        0, "CPU of each node that is never promised to replicas, in thousandths of a core.", check=at_least(0)
    )
    node_headroom_memory_bytes: int = setting(
        256 * 1024**2, "Memory of each node that is never promised to replicas.", unit="bytes", check=at_least(0)
    )
    node_cpu_percent: int = setting(
        1000,
        "How much of a node's other CPU the limits of its replicas may add up to, in per cent; replicas go where it is "
        "not passed, and wait where it would be everywhere.",
        check=at_least(1),
    )
    node_memory_percent: int = setting(300, "Likewise of a node's memory.", check=at_least(1))
    autoscale_seconds: float = setting(
        15.0, "How often the load of services with a policy is looked at.", unit="seconds", check=at_least(1)
    )
    autoscale_headroom_cpu_millis: int = setting(
        1000,
        "CPU of each node that services do not scale into, in thousandths of a core: the limits of all replicas of "
        "services with a policy add up to the rest at the most.",
        check=at_least(0),
    )
    autoscale_headroom_memory_bytes: int = setting(
        512 * 1024**2, "Likewise of each node's memory.", unit="bytes", check=at_least(0)
    )
    ingress_label: str | None = setting(
        None,
        "Nodes with this label, `name=value`, lead to every service wherever it runs; none: all nodes do. A large "
        "fleet has a few of them, and points its hostnames there.",
        check=check_label,
    )
    tcp_ports: str = setting(
        "20000-29999",
        "The ports at which every node's ingress may listen for the TCP endpoints of services; the firewall of the "
        "nodes has to let them in. Nodes hand connections over to each other at ports that are 10000 above.",
        check=check_ports,
    )
    base_domain: str = setting(
        "localhost",
        "Services get `<service>-<project>.<base_domain>`; it belongs to the platform.",
        check=check_domain,
    )
    base_domain_tls: bool = setting(
        False,
        "Whether every hostname below the base domain is served over TLS too. DNS has to lead `*.<base_domain>` to the "
        "nodes, and the authority's limits have to bear an order for each service.",
    )
    control_domain: str | None = setting(
        None, "The hostname under which the ingress leads to the public listener.", check=check_domain
    )
    control_address: str | None = setting(
        None,
        "Where every node's ingress finds the public listener, `ip:port`, over a network that is trusted with plain "
        "HTTP; none: nodes on this machine find it, others do not lead there.",
        check=check_address,
    )
    control_tls: bool = setting(
        False, "Whether the control domain is served over TLS alone, by a certificate as services get them."
    )
    acme_email: str | None = setting(
        None,
        "Where the certificate authority writes to; giving it agrees to the authority's terms of service, and lets "
        "services have TLS.",
        check=check_email,
    )
    acme_directory_url: str = setting(
        "https://acme-v02.api.letsencrypt.org/directory",
        "The directory of the certificate authority, by ACME (RFC 8555).",
        check=check_https,
    )
    acme_ca_file: Path | None = setting(
        None, "Certificates that vouch for the authority itself, in PEM; none: those that this machine trusts."
    )
    certificate_renew_seconds: float = setting(
        2_592_000.0,
        "A certificate is renewed when it is valid for less than this, or for less than a third of its life.",
        unit="seconds",
        check=at_least(0),
    )
    verify_port: int = setting(80, "The port at which hostnames are asked for proofs of ownership.", check=check_port)
    verify_dns_servers: tuple[str, ...] = setting(
        (),
        "Name servers that hostnames are looked up at ahead of a proof, `ip` or `ip:port`; none: as this machine does.",
        check=check_servers,
    )
    verify_private_networks: tuple[str, ...] = setting(
        (),
        "Networks such as `10.0.0.0/8` where hostnames may be asked for proofs although they lead inside.",
        check=check_networks,
    )
    setup_secret: str | None = setting(
        None,
        "The token that may create the first admin; none: the file `setup-secret` in `data_dir`, made at first start.",
        check=check_secret,
    )
    metrics_token: str | None = setting(
        None,
        "The token that reads `/metrics` of the public listener and nothing else; none: the file `metrics-token` in "
        "`data_dir`, made at first start.",
        check=check_secret,
    )
    age_key_file: Path | None = setting(
        None,
        "The age identities that open secrets, the first for new ones; none: the file `age.key` in `data_dir`, made at "
        "first start. A copy of it belongs in a safe place.",
    )
    age_recipients: tuple[str, ...] = setting(
        (),
        "Age recipients, beside our own key, that can open the secrets written from now on.",
        check=check_recipients,
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
    audit_days: float = setting(365.0, "Audit records are kept for so long.", unit="days", check=at_least(1))
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
    rollout_surge_percent: int = setting(
        25,
        "While a release takes over, so many replicas beyond what the service wants may run, in per cent of that and "
        "one at least.",
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

    allow_private_registries: bool = setting(
        False,
        "Whether images may come from registries on this machine or inside a network; without it a project could make "
        "the nodes speak to whatever is there.",
    )
    allow_private_git_hosts: bool = setting(
        False,
        "Whether repositories may be cloned from hosts on this machine or inside a network, and by plain http; without "
        "it a project could make the nodes speak to whatever is there.",
    )
    git_known_hosts: Path | None = setting(
        None,
        "A file of host keys as ssh reads it, for hosts of repositories besides the large forges; read at each clone.",
    )
    git_authorities: Path | None = setting(
        None, "A PEM file of certificates that https trusts for repositories besides the system's; read at each clone."
    )
    clone_seconds: float = setting(
        300.0, "Longest that the clone of a repository may take, of `build_seconds`.", unit="seconds", check=at_least(1)
    )

    consoles_at_once: int = setting(16, "Consoles that one controld keeps at one time.", check=at_least(1))
    consoles_per_service: int = setting(
        2, "Consoles of one service that one controld keeps at one time.", check=at_least(1)
    )
    console_ticket_seconds: float = setting(
        30.0, "A console's ticket may be used for so long.", unit="seconds", check=at_least(1)
    )
    console_grace_seconds: float = setting(
        60.0,
        "A console whose connection broke goes on for so long, to be come back to.",
        unit="seconds",
        check=at_least(0),
    )
    console_idle_seconds: float = setting(
        3600.0, "A console ends after so long without input and output.", unit="seconds", check=at_least(1)
    )
    console_limit_seconds: float = setting(
        28_800.0, "A console ends after so long, whatever happens in it.", unit="seconds", check=at_least(1)
    )
    console_ping_seconds: float = setting(
        20.0,
        "The pace of pings to a console's client; two without any answer mean that it has gone.",
        unit="seconds",
        check=at_least(0.1),
    )
    console_origins: tuple[str, ...] = setting(
        (), "Hosts, or origins such as `https://panel.example`, whose pages may open consoles besides our own."
    )
    console_transcripts: bool = setting(
        False, "Keep what consoles show, as asciicast files; what people type is not kept."
    )
    console_transcripts_dir: Path | None = setting(
        None, "Where transcripts are kept; none: the folder `transcripts` in `data_dir`."
    )
    console_transcript_max_bytes: int = setting(
        16 * 1024**2, "Longest transcript of a console.", unit="bytes", check=at_least(4096)
    )
    console_keep_days: float = setting(
        30.0, "Consoles that ended are listed for so long, and their transcripts kept.", unit="days", check=at_least(0)
    )

    job_runs_at_once: int = setting(
        16, "Runs of jobs on all nodes at one time; others wait their turn.", check=at_least(1)
    )
    job_runs_per_node: int = setting(4, "Runs of jobs on one node at one time.", check=at_least(1))
    job_placement_seconds: float = setting(
        300.0, "A run that no node can take is skipped after so long.", unit="seconds", check=at_least(1)
    )
    job_start_seconds: float = setting(
        120.0, "Longest that a node may take to start a run whose image it has.", unit="seconds", check=at_least(1)
    )
    job_timeout_seconds: int = setting(
        3600, "Longest that one attempt of a job that says nothing of it may run.", unit="seconds", check=at_least(1)
    )
    job_late_seconds: float = setting(
        3600.0,
        "A run that came due while no controld was running is made up for no longer than this; then it is skipped.",
        unit="seconds",
        check=at_least(1),
    )
    job_log_bytes: int = setting(
        1024**2, "Most output kept of one run, besides its last lines.", unit="bytes", check=at_least(1024)
    )
    job_runs_kept: int = setting(
        50, "Newest runs kept of a job that says nothing of it, and as many skipped ones.", check=at_least(1)
    )
    job_runs_kept_seconds: float = setting(
        30 * 86_400.0, "Runs of a job that says nothing of it are kept for so long.", unit="seconds", check=at_least(60)
    )

    image_cache_retention_seconds: float = setting(
        604_800.0,
        "A collection of nodes' images removes what no kept artifact is made of and no node had use for since so long.",
        unit="seconds",
        check=at_least(0),
    )
    registry_dir: Path | None = setting(
        None, "Where images' layers are kept; none: the folder `registry` in `data_dir`."
    )
    registry_token_url: str | None = setting(
        None,
        "Where clients reach `/v2/token`, as `https://host/v2/token`: the registry then asks them to fetch a token of "
        "a few minutes there for each push and pull; none: it asks for Basic. It takes both whatever this says.",
        check=check_token_url,
    )
    registry_token_seconds: int = setting(300, "How long such a token can be used.", unit="seconds", check=at_least(60))
    registry_max_blob_bytes: int = setting(
        10 * 1024**3, "Largest layer that the registry takes.", unit="bytes", check=at_least(1)
    )
    registry_max_manifest_bytes: int = setting(
        16 * 1024**2, "Largest manifest that the registry takes.", unit="bytes", check=at_least(1)
    )
    registry_max_project_bytes: int = setting(
        0,
        "Most bytes of layers that the repositories of one project hold; 0: no limit.",
        unit="bytes",
        check=at_least(0),
    )
    registry_unneeded_seconds: float = setting(
        604_800.0,
        "An image that no tag (but a build's own), no kept artifact and no replica needs is kept for this long.",
        unit="seconds",
        check=at_least(3600),
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
