"""What a service may be: every rule on its parts; each check raises Invalid with the reason."""

from __future__ import annotations

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
    check_limits,
    check_range,
    check_text,
    check_word,
)
from kit.faults import Invalid

_SECRET_REF_LIMIT = 255


def check_service(draft: ServiceDraft) -> None:
    """The whole service can be stored and run."""
    check_word(draft.name, what="name")
    for hostname in draft.domains:
        if (problem := find_hostname_problem(hostname)) is not None:
            raise Invalid(f"cannot save domains: {hostname!r} is no hostname: {problem}")
    check_source(draft.source)
    check_range(draft.internal_port, what="internal_port", least=1, most=LARGEST_U16)
    check_health(draft.health_check)
    check_limits(draft.resource_limits)
    check_env(draft.env)
    if draft.autoscale is not None:
        check_autoscale(draft.autoscale)
    for endpoint in draft.endpoints:
        check_endpoint(endpoint)
    names = [endpoint.name for endpoint in draft.endpoints]
    if len(set(names)) != len(names):
        raise Invalid("cannot save endpoints: two have the same name")


def check_source(source: ServiceSource) -> None:
    """The source says where its image comes from, and nothing that leads elsewhere."""
    match source:
        case GitSource():
            _check_inside(source.dockerfile_path, what="dockerfile_path")
            _check_inside(source.context_path, what="context_path")
            check_text(source.repo_url, what="source.repo_url")
            check_text(source.git_ref, what="source.git_ref")
            if source.git_ref.startswith("-") or source.repo_url.startswith("-"):
                raise Invalid("cannot save source: repo_url and git_ref must not start with '-'")
            _check_secret_ref(source.credential)
        case ExternalImageSource():
            _check_image(source)
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


def check_endpoint(endpoint: ServiceEndpoint) -> None:
    """A name, ports above zero, and no public port for what goes through the ingress."""
    check_word(endpoint.name, what="endpoints.name")
    check_range(endpoint.internal_port, what="endpoints.internal_port", least=1, most=LARGEST_U16)
    if endpoint.public_port is None:
        return
    if endpoint.protocol is Protocol.HTTP:
        raise Invalid("cannot save endpoints: one that speaks http has no public_port")
    check_range(endpoint.public_port, what="endpoints.public_port", least=1, most=LARGEST_U16)


def _check_inside(path: str, *, what: str) -> None:
    if not path or path.startswith("/") or ".." in path or any(letter in path for letter in "\0\r\n"):
        raise Invalid(f"cannot save source: {what} must be a relative path without '..'")


def _check_secret_ref(ref: str) -> None:
    if not ref or len(ref) > _SECRET_REF_LIMIT or not all(c.isascii() and (c.isalnum() or c in "._-") for c in ref):
        raise Invalid("cannot save source: credential may hold letters, digits, '.', '_' and '-' only")


def _check_image(source: ExternalImageSource) -> None:
    if (source.registry_id is None) != (source.image_ref is None):
        raise Invalid("cannot save source: registry_id and image_ref come together")
    if (source.registry_id is not None) == bool(source.image):
        raise Invalid("cannot save source: give either an image, or registry_id and image_ref")
    if source.image_ref == "":
        raise Invalid("cannot save source: image_ref is empty")
    reference = source.image or source.image_ref or ""
    if any(letter.isspace() or ord(letter) < 32 for letter in reference) or reference.startswith("-"):
        raise Invalid("cannot save source: an image reference holds no spaces and does not start with '-'")
    host = find_image_host(source.image)
    if host is not None and (problem := find_host_problem(host)) is not None:
        raise Invalid(f"cannot save source: the image's registry host cannot be used: {problem}")
