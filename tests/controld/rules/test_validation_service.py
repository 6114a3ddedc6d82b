"""What a service may be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from controld.model.service import (
    AutoscalePolicy,
    ExternalImageSource,
    GitSource,
    HealthCheck,
    Protocol,
    ResourceLimits,
    ServiceDraft,
    ServiceEndpoint,
    UploadSource,
)
from controld.rules.redaction import REDACTED, redact_env
from controld.rules.validation_service import check_service
from kit.faults import Invalid

_POLICY = AutoscalePolicy(
    min_replicas=0, max_replicas=3, target_cpu_pct=80, scale_down_cooldown_s=60, idle_timeout_s=300
)
_GIT = GitSource(
    repo_url="https://example.com/a.git",
    git_ref="main",
    dockerfile_path="Dockerfile",
    context_path=".",
    credential="default",
)
_GOOD = ServiceDraft(
    project_id="p",
    name="web_1-a",
    domains=("web.example.com",),
    source=_GIT,
    internal_port=8080,
    health_check=HealthCheck(path="/healthz?full=1", timeout_seconds=5),
    resource_limits=ResourceLimits(cpu_millis=1, memory_bytes=1),
    env=(("A", "1"), ("A", "2"), ("EMPTY", "")),
    autoscale=_POLICY,
    endpoints=(ServiceEndpoint(name="db", protocol=Protocol.TCP, internal_port=5432, public_port=20000),),
)


@pytest.mark.parametrize(
    "source",
    [
        _GIT,
        UploadSource(),
        ExternalImageSource(image="nginx:1.27"),
        ExternalImageSource(image="ghcr.io/a/b@sha256:" + "0" * 64),
        ExternalImageSource(image="", registry_id="r", image_ref="a/b:1"),
    ],
)
def test_every_source_is_accepted(source: Any) -> None:
    check_service(dataclasses.replace(_GOOD, source=source))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a.b"},
        {"name": "a" * 256},
        {"domains": ("Web.example.com",)},
        {"domains": ("example",)},
        {"internal_port": 0},
        {"internal_port": 65536},
        {"health_check": HealthCheck(path="healthz", timeout_seconds=1)},
        {"health_check": HealthCheck(path="/a b", timeout_seconds=1)},
        {"health_check": HealthCheck(path="/a\r\nHost: x", timeout_seconds=1)},
        {"health_check": HealthCheck(path="/", timeout_seconds=0)},
        {"resource_limits": ResourceLimits(cpu_millis=0, memory_bytes=1)},
        {"resource_limits": ResourceLimits(cpu_millis=1, memory_bytes=0)},
        {"resource_limits": ResourceLimits(cpu_millis=1, memory_bytes=2**64)},
        {"env": (("", "x"),)},
        {"env": (("A=B", "x"),)},
        {"env": (("A\0", "x"),)},
        {"env": (("A", "x\0"),)},
        {"env": (("ld_preload", "x"),)},
        {"env": (("GLIBC_TUNABLES", "x"),)},
        {"env": (("A", REDACTED),)},
        {"source": dataclasses.replace(_GIT, dockerfile_path="/etc/passwd")},
        {"source": dataclasses.replace(_GIT, context_path="a/../..")},
        {"source": dataclasses.replace(_GIT, context_path="")},
        {"source": dataclasses.replace(_GIT, credential="a/b")},
        {"source": dataclasses.replace(_GIT, credential="")},
        {"source": dataclasses.replace(_GIT, git_ref="--upload-pack=x")},
        {"source": ExternalImageSource(image="")},
        {"source": ExternalImageSource(image="a", registry_id="r", image_ref="b")},
        {"source": ExternalImageSource(image="", registry_id="r")},
        {"source": ExternalImageSource(image="a", image_ref="b")},
        {"source": ExternalImageSource(image="10.0.0.1/a")},
        {"source": ExternalImageSource(image="localhost:5000/a")},
        {"source": ExternalImageSource(image="a b")},
        {"autoscale": dataclasses.replace(_POLICY, max_replicas=0)},
        {"autoscale": dataclasses.replace(_POLICY, min_replicas=4)},
        {"autoscale": dataclasses.replace(_POLICY, target_cpu_pct=0)},
        {"autoscale": dataclasses.replace(_POLICY, target_cpu_pct=101)},
        {"autoscale": dataclasses.replace(_POLICY, target_mem_pct=0)},
        {"autoscale": dataclasses.replace(_POLICY, idle_timeout_s=59)},
        {"endpoints": (ServiceEndpoint(name="a b", protocol=Protocol.TCP, internal_port=1),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.TCP, internal_port=0),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.TCP, internal_port=1, public_port=0),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.HTTP, internal_port=1, public_port=2),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.UDP, internal_port=1),) * 2},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    check_service(_GOOD)
    with pytest.raises(Invalid):
        check_service(dataclasses.replace(_GOOD, **changes))


def test_redaction_keeps_names_and_order_and_hides_every_value() -> None:
    assert redact_env((("B", "1"), ("A", "2"))) == (("B", REDACTED), ("A", REDACTED))
