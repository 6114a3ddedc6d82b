"""What a replica is launched with, frozen from the service, its project and the artifact."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from controld.model.artifact import Artifact
from controld.model.launch import Launch
from controld.model.replica import PlacedReplica
from controld.model.service import AutoscalePolicy
from controld.rules.autoscale import clamp_count, hold_scale
from wire.spec import Limits, Replica, Wanted

DEFAULT_CPU_MILLIS: Final = 500
DEFAULT_MEMORY_BYTES: Final = 512 * 1024**2


def freeze_config(
    launch: Launch, artifact: Artifact, *, deployment_id: str, replica_id: str, index: int, drain_seconds: float
) -> Replica:
    """The replica as its node gets it; `PORT` and `MOORAGE_*` are added where the service does not set them itself."""
    added = {
        "PORT": str(launch.port),
        "MOORAGE_PROJECT": launch.project,
        "MOORAGE_SERVICE": launch.service,
        "MOORAGE_SERVICE_ID": launch.service_id,
        "MOORAGE_DEPLOYMENT_ID": deployment_id,
        "MOORAGE_REPLICA_ID": replica_id,
        "MOORAGE_REPLICA_INDEX": str(index),
    }
    return Replica(
        id=replica_id,
        service_id=launch.service_id,
        deployment_id=deployment_id,
        project=launch.project,
        service=launch.service,
        index=index,
        image=artifact.image,
        origin=artifact.origin,
        port=launch.port,
        health=launch.health,
        limits=launch.limits,
        env=tuple({**added, **dict(launch.env)}.items()),
        drain_seconds=drain_seconds,
    )


def make_replica(
    launch: Launch,
    artifact: Artifact,
    *,
    deployment_id: str,
    replica_id: str,
    node_id: str,
    index: int,
    drain_seconds: float,
    now: dt.datetime,
) -> PlacedReplica:
    """A new replica of the deployment on the node, to be run, with its configuration frozen."""
    config = freeze_config(
        launch,
        artifact,
        deployment_id=deployment_id,
        replica_id=replica_id,
        index=index,
        drain_seconds=drain_seconds,
    )
    return PlacedReplica(
        id=replica_id,
        service_id=launch.service_id,
        deployment_id=deployment_id,
        node_id=node_id,
        index=index,
        config=config,
        wanted=Wanted.RUNNING,
        created_at=now,
    )


def merge_env(shared: Iterable[tuple[str, str]], own: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The project's variables with the service's over them; of a repeated name the last counts."""
    return tuple(dict((*shared, *own)).items())


def effective_limits(*levels: tuple[int | None, int | None]) -> Limits:
    """The first (CPU in millicores, memory in bytes) that is set, each by itself, else 500 and 512 MiB."""
    cpu = next((cpu for cpu, _ in levels if cpu is not None), DEFAULT_CPU_MILLIS)
    memory = next((memory for _, memory in levels if memory is not None), DEFAULT_MEMORY_BYTES)
    return Limits(cpu_millis=cpu, memory_bytes=memory)


def wanted_count(replicas: int, autoscale: AutoscalePolicy | None, *, scaled_to: int | None) -> int:
    """How many replicas a service runs now: what was asked for, or what its policy was last found to call for.

    A policy that has not decided yet (`scaled_to` is absent) begins with its least, and with one at least; what it has
    decided is held within its bounds, which may have changed since.
    """
    if autoscale is None:
        return replicas
    held = hold_scale(autoscale, scaled_to)
    return clamp_count(autoscale, 1) if held is None else held
