"""What a service may be: every rule on its parts; each check raises Invalid with the reason."""

from __future__ import annotations

import re

from controld.model.placement import Placement
from controld.model.service import (
    AutoscalePolicy,
    ExternalImageSource,
    GitSource,
    HealthCheck,
    Protocol,
    ServiceDraft,
    ServiceEndpoint,
    ServiceSource,
    UploadSource,
)
from controld.rules.hostnames import find_hostname_problem
from controld.rules.registry_hosts import find_host_problem, find_image_host
from controld.rules.validation import (
    LARGEST_U16,
    LARGEST_U32,
    check_env,
    check_labels,
    check_limits,
    check_range,
    check_title,
    check_word,
)
from controld.rules.validation_git import check_ref, check_repository
from kit.faults import Invalid

_SECRET_REF_LIMIT = 255
_REPLICAS_LIMIT = 1000
_NODES_LIMIT = 100
_ENDPOINTS_LIMIT = 32
_SHOWN = 100
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IN_REGISTRY = re.compile(
    rf"(?=.{{1,512}}$){_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?", re.ASCII
)


def check_service(
    draft: ServiceDraft, *, allow_private_registries: bool, allow_private_git_hosts: bool = False
) -> None:
    """The whole service can be stored and run."""
    check_word(draft.name, what="name")
    for hostname in draft.domains:
        if (problem := find_hostname_problem(hostname)) is not None:
            raise Invalid(f"cannot save domains: {hostname!r} is no hostname: {problem}")
    check_source(
        draft.source,
        allow_private_registries=allow_private_registries,
        allow_private_git_hosts=allow_private_git_hosts,
    )
    check_range(draft.internal_port, what="internal_port", least=1, most=LARGEST_U16)
    check_health(draft.health_check)
    check_limits(draft.resource_limits)
    check_env(draft.env)
    if draft.autoscale is not None:
        check_autoscale(draft.autoscale)
    if len(draft.endpoints) > _ENDPOINTS_LIMIT:
        raise Invalid(f"cannot save endpoints: a service has {_ENDPOINTS_LIMIT} at the most")
    for endpoint in draft.endpoints:
        check_endpoint(endpoint, http_port=draft.internal_port)
        if endpoint.protocol is Protocol.TCP and draft.autoscale is not None and draft.autoscale.min_replicas == 0:
            raise Invalid(
                "cannot save service: with a tcp endpoint min_replicas is 1 at least, for connections wake nothing"
            )
    if draft.replicas is not None:
        check_range(draft.replicas, what="replicas", least=1, most=_REPLICAS_LIMIT)
    if draft.placement is not None:
        check_placement(draft.placement)
    names = [endpoint.name for endpoint in draft.endpoints]
    if len(set(names)) != len(names):
        raise Invalid("cannot save endpoints: two have the same name")


def check_placement(placement: Placement) -> None:
    """Labels that a node could carry, and nodes that are named."""
    check_labels(placement.labels, what="placement.labels")
    if len(placement.nodes) > _NODES_LIMIT:
        raise Invalid(f"cannot save placement: it names more than {_NODES_LIMIT} nodes; use a label")
    for name in placement.nodes:
        check_title(name, what="placement.nodes")


def check_source(
    source: ServiceSource, *, allow_private_registries: bool, allow_private_git_hosts: bool = False
) -> None:
    """The source says where its image comes from, and nothing that leads elsewhere."""
    match source:
        case GitSource():
            _check_inside(source.dockerfile_path, what="dockerfile_path")
            _check_inside(source.context_path, what="context_path")
            check_repository(source, allow_private_hosts=allow_private_git_hosts)
            check_ref(source.git_ref)
            _check_secret_ref(source.credential)
        case ExternalImageSource():
            _check_image(source, allow_private=allow_private_registries)
        case UploadSource():
            pass


def check_health(health: HealthCheck) -> None:
    """A path from the root, and a timeout above zero."""
    if not health.path.startswith("/") or any(ord(letter) <= 32 or ord(letter) == 127 for letter in health.path):
        raise Invalid("cannot save health_check: its path must start with '/' and hold no spaces")
    check_range(health.timeout_seconds, what="health_check.timeout_seconds", least=1, most=LARGEST_U32)


def check_autoscale(policy: AutoscalePolicy) -> None:
    """Bounds that hold together."""
    check_range(policy.max_replicas, what="autoscale.max_replicas", least=1, most=LARGEST_U32)
    check_range(policy.min_replicas, what="autoscale.min_replicas", least=0, most=policy.max_replicas)
    check_range(policy.target_cpu_pct, what="autoscale.target_cpu_pct", least=1, most=100)
    if policy.target_mem_pct is not None:
        check_range(policy.target_mem_pct, what="autoscale.target_mem_pct", least=1, most=100)
    check_range(policy.scale_down_cooldown_s, what="autoscale.scale_down_cooldown_s", least=0, most=LARGEST_U32)
    check_range(
        policy.idle_timeout_s, what="autoscale.idle_timeout_s", least=policy.scale_down_cooldown_s, most=LARGEST_U32
    )


def check_endpoint(endpoint: ServiceEndpoint, *, http_port: int) -> None:
    """A name, ports above zero, and something that the ingress serves: HTTP by hostname at `http_port`, or TCP."""
    check_word(endpoint.name, what="endpoints.name")
    check_range(endpoint.internal_port, what="endpoints.internal_port", least=1, most=LARGEST_U16)
    match endpoint.protocol:
        case Protocol.HTTP:
            if endpoint.public_port is not None:
                raise Invalid("cannot save endpoints: one that speaks http has no public_port")
            if endpoint.internal_port != http_port:
                raise Invalid(
                    "cannot save endpoints: http is served at the service's internal_port alone; make another service "
                    "for another port, or use tcp"
                )
        case Protocol.TCP:
            if endpoint.public_port is not None:
                check_range(endpoint.public_port, what="endpoints.public_port", least=1, most=LARGEST_U16)
        case Protocol.UDP:
            raise Invalid("cannot save endpoints: udp is not served by the ingress; use tcp")


def _check_inside(path: str, *, what: str) -> None:
    if not path or path.startswith("/") or ".." in path or any(letter in path for letter in "\0\r\n"):
        raise Invalid(f"cannot save source: {what} must be a relative path without '..'")


def _check_secret_ref(ref: str) -> None:
    if not ref or len(ref) > _SECRET_REF_LIMIT or not all(c.isascii() and (c.isalnum() or c in "._-") for c in ref):
        raise Invalid("cannot save source: credential may hold letters, digits, '.', '_' and '-' only")


def _check_image(source: ExternalImageSource, *, allow_private: bool) -> None:
    if (source.registry_id is None) != (source.image_ref is None):
        raise Invalid("cannot save source: registry_id and image_ref come together")
    if (source.registry_id is not None) == bool(source.image):
        raise Invalid("cannot save source: give either an image, or registry_id and image_ref")
    if source.image_ref is not None:
        if _IN_REGISTRY.fullmatch(source.image_ref) is None:
            raise Invalid(
                "cannot save source: image_ref is a path in the registry, in lowercase, with a tag or a digest"
            )
        return
    host = find_image_host(source.image)
    if host is not None and (problem := find_host_problem(host, allow_private=allow_private)) is not None:
        raise Invalid(f"cannot save source: the image's registry host cannot be used: {problem}")
    path = source.image if host is None else source.image.removeprefix(f"{host}/")
    if _IN_REGISTRY.fullmatch(path) is None:
        raise Invalid(
            f"cannot save source: {source.image[:_SHOWN]!r} is no image reference: that is a name in lowercase such as "
            "nginx, team/app or ghcr.io/team/app, with a tag or a sha256 digest where wanted"
        )
