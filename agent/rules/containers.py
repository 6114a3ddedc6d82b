"""Turns a replica of the spec into a container: its name, its labels, the digest of what it is made from, its image."""

from __future__ import annotations

import functools
import hashlib

import msgspec

from agent.model import labels
from agent.model.engine import Container, ContainerSpec
from wire.spec import JobRun, Origin, Replica

_encoder = msgspec.json.Encoder(order="deterministic")


def short_id(identifier: str) -> str:
    """The last 12 characters of an id: the random end of a UUIDv7, whose start is a clock that neighbours share."""
    return identifier[-12:]


def name_network(node_id: str) -> str:
    """The name of the node's bridge network."""
    return f"moorage-{short_id(node_id)}"


def name_container(replica: Replica) -> str:
    """The name of the replica's container."""
    return f"moorage-{replica.service}-{replica.index}-{short_id(replica.id)}"


@functools.lru_cache(maxsize=4096)
def compute_container_digest(replica: Replica) -> str:
    """`sha256:<hex>` of the part of a replica that a container is made from and cannot change while it exists."""
    made_from = (
        replica.image,
        replica.origin,
        replica.env,
        replica.command,
        replica.limits,
        replica.stop_seconds,
    )
    return "sha256:" + hashlib.sha256(_encoder.encode(made_from)).hexdigest()


def locate_image(wanted: Replica | JobRun, *, registry_port: int) -> str:
    """The reference by which the engine knows the image; the hosted registry is the agent's own relay."""
    return locate_reference(wanted.image, wanted.origin, registry_port=registry_port)


def locate_reference(image: str, origin: Origin, *, registry_port: int) -> str:
    """The same for an image and where it comes from."""
    return f"127.0.0.1:{registry_port}/{image}" if origin is Origin.HOSTED else image


def render_container(replica: Replica, *, node_id: str, network: str, image: str) -> ContainerSpec:
    """The container that the replica should have; of a repeated name in `env` the last counts."""
    return ContainerSpec(
        name=name_container(replica),
        image=image,
        labels=(
            (labels.NODE, node_id),
            (labels.REPLICA, replica.id),
            (labels.INDEX, str(replica.index)),
            (labels.SERVICE, replica.service_id),
            (labels.DEPLOYMENT, replica.deployment_id),
            (labels.PROJECT, replica.project),
            (labels.SPEC, compute_container_digest(replica)),
        ),
        env=tuple(dict(replica.env).items()),
        command=replica.command,
        cpu_millis=replica.limits.cpu_millis,
        memory_bytes=replica.limits.memory_bytes,
        pids=replica.limits.pids,
        network=network,
        stop_seconds=replica.stop_seconds,
    )


def render_job_container(run: JobRun, *, node_id: str, network: str, image: str) -> ContainerSpec:
    """The container of an attempt of a job's run; it ends for good when its process does."""
    return ContainerSpec(
        name=f"moorage-job-{short_id(run.id)}-{run.attempt}",
        image=image,
        labels=(
            (labels.NODE, node_id),
            (labels.JOB_RUN, run.key),
            (labels.JOB, run.job_id),
            (labels.PROJECT, run.project),
        ),
        env=tuple(dict(run.env).items()),
        command=run.command,
        cpu_millis=run.limits.cpu_millis,
        memory_bytes=run.limits.memory_bytes,
        pids=run.limits.pids,
        network=network,
        stop_seconds=run.stop_seconds,
        restarts=False,
    )


def find_replica_id(container: Container, *, node_id: str) -> str | None:
    """Whose container it is; None when it is not a replica of this node's, and so not ours to touch.

    A container that somebody starts from an image built here inherits the image's node label, but no replica label.
    """
    if container.label(labels.NODE) != node_id:
        return None
    return container.label(labels.REPLICA)
