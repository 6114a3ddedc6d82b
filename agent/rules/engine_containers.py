"""A container as the engine's API says it, from our words and into them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from agent.model import labels
from agent.model.engine import Container, ContainerSpec, ContainerState

NODE_LABEL = labels.NODE
"""Its value is the node's id; what does not carry it is not ours."""

DROPPED_CAPABILITIES = ("AUDIT_WRITE", "MKNOD", "NET_RAW")
"""Of the engine's defaults, what no web service needs and a hostile one would use against its neighbours."""

_CPU_PERIOD_USEC = 100_000
_LEAST_QUOTA_USEC = 1_000


def render_config(spec: ContainerSpec, *, node_id: str, log_max_bytes: int, log_files: int) -> dict[str, Any]:
    """The body of the engine's create call for the spec."""
    config: dict[str, Any] = {
        "Image": spec.image,
        "Labels": {**dict(spec.labels), NODE_LABEL: node_id},
        "Env": [f"{name}={value}" for name, value in dict(spec.env).items()],
        "StopTimeout": spec.stop_seconds,
        "HostConfig": {
            "Init": True,
            "SecurityOpt": ["no-new-privileges"],
            "CapDrop": list(DROPPED_CAPABILITIES),
            "RestartPolicy": {"Name": "unless-stopped" if spec.restarts else "no"},
            "NetworkMode": spec.network,
            "Memory": spec.memory_bytes,
            "MemorySwap": spec.memory_bytes,
            "PidsLimit": spec.pids,
            "LogConfig": {
                "Type": "json-file",
                "Config": {"max-size": str(log_max_bytes), "max-file": str(log_files)},
            },
            **render_cpu(spec.cpu_millis),
        },
    }
    if spec.command:
        config["Entrypoint"] = [spec.command[0]]
        config["Cmd"] = list(spec.command[1:])
    return config


def render_cpu(cpu_millis: int) -> dict[str, int]:
    """The CPU limit as a quota, which, unlike `NanoCpus`, a machine with fewer cores does not refuse."""
    quota = max(_LEAST_QUOTA_USEC, cpu_millis * _CPU_PERIOD_USEC // 1000) if cpu_millis else 0
    return {"CpuPeriod": _CPU_PERIOD_USEC, "CpuQuota": quota}


def parse_container(inspected: Mapping[str, Any]) -> Container:
    """The container that an inspect answer describes."""
    state = inspected["State"]
    word = ContainerState(state["Status"])
    alive = word in {ContainerState.RUNNING, ContainerState.PAUSED}
    error = state.get("Error") or None
    ended = not alive and (word is not ContainerState.CREATED or error is not None)
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        labels=tuple(sorted((inspected["Config"].get("Labels") or {}).items())),
        state=word,
        image_id=inspected["Image"],
        pid=(state.get("Pid") or None) if alive else None,
        ip=_find_ip(inspected) if alive else None,
        exit_code=state.get("ExitCode") if ended else None,
        oom_killed=bool(state.get("OOMKilled")),
        restarts=inspected.get("RestartCount") or 0,
        started_at=_parse_time(state.get("StartedAt")),
        finished_at=_parse_time(state.get("FinishedAt")),
        error=error,
    )


def identify_run(listed: Mapping[str, Any]) -> str | None:
    """A name for the present run of a listed container, which a restart changes; None when it does not run.

    The engine gives the container's network endpoint a new id at each start.
    """
    if listed.get("State") != "running":
        return None
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    endpoints = [network["EndpointID"] for network in networks.values() if network and network.get("EndpointID")]
    return ",".join(sorted(endpoints)) or None


def _find_ip(inspected: Mapping[str, Any]) -> str | None:
    networks = inspected["NetworkSettings"].get("Networks") or {}
    own = networks.get((inspected.get("HostConfig") or {}).get("NetworkMode"))
    for network in (own, *networks.values()):
        if network and network.get("IPAddress"):
            return str(network["IPAddress"])
    return None


def _parse_time(text: str | None) -> dt.datetime | None:
    if not text or text.startswith("0001-"):
        return None
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
