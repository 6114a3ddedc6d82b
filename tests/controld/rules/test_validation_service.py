"""What a service may be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from controld.model.placement import Placement
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
    min_replicas=1, max_replicas=3, target_cpu_pct=80, scale_down_cooldown_s=60, idle_timeout_s=300
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
    resource_limits=ResourceLimits(cpu_millis=10, memory_bytes=6 * 2**20),
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
        ExternalImageSource(image="registry.example:5000/team/a__b/c-d.e:V1_2.3"),
        ExternalImageSource(image="nginx:1.27@sha256:" + "0" * 64),
        ExternalImageSource(image="", registry_id="r", image_ref="a/b:1"),
    ],
)
def test_every_source_is_accepted(source: Any) -> None:
    check_service(dataclasses.replace(_GOOD, source=source), allow_private_registries=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a.b"},
        {"name": "a" * 256},
        {"domains": ("Web.example.com",)},
        {"domains": ("example",)},
        {"domains": ("*.example.com",)},
        {"domains": ("example.com.",)},
        {"domains": ("example.com:80",)},
        {"domains": ("example.com/a",)},
        {"domains": ("exa mple.com",)},
        {"domains": ("192.0.2.1",)},
        {"domains": (f"{'a' * 64}.example.com",)},
        {"domains": ("-a.example.com",)},
        {"domains": (".".join(["a" * 60] * 5),)},
        {"internal_port": 0},
        {"internal_port": 65536},
        {"health_check": HealthCheck(path="healthz", timeout_seconds=1)},
        {"health_check": HealthCheck(path="/a b", timeout_seconds=1)},
        {"health_check": HealthCheck(path="/a\r\nHost: x", timeout_seconds=1)},
        {"health_check": HealthCheck(path="/", timeout_seconds=0)},
        {"resource_limits": ResourceLimits(cpu_millis=0, memory_bytes=2**30)},
        {"resource_limits": ResourceLimits(cpu_millis=9, memory_bytes=2**30)},
        {"resource_limits": ResourceLimits(cpu_millis=2**32, memory_bytes=2**30)},
        {"resource_limits": ResourceLimits(cpu_millis=500, memory_bytes=0)},
        {"resource_limits": ResourceLimits(cpu_millis=500, memory_bytes=6 * 2**20 - 1)},
        {"resource_limits": ResourceLimits(cpu_millis=500, memory_bytes=2**64)},
        {"replicas": 0},
        {"replicas": 1001},
        {"placement": Placement(labels={"a b": "c"})},
        {"placement": Placement(labels={"a": "b c"})},
        {"placement": Placement(nodes=("",))},
        {"placement": Placement(nodes=("n",) * 101)},
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
        {"source": ExternalImageSource(image="Nginx")},
        {"source": ExternalImageSource(image="nginx:a:b")},
        {"source": ExternalImageSource(image="nginx:")},
        {"source": ExternalImageSource(image="nginx/")},
        {"source": ExternalImageSource(image="/nginx")},
        {"source": ExternalImageSource(image="a//b")},
        {"source": ExternalImageSource(image="-x")},
        {"source": ExternalImageSource(image="nginx:" + "t" * 129)},
        {"source": ExternalImageSource(image="nginx@sha256:aa")},
        {"source": ExternalImageSource(image="https://ghcr.io/a/b")},
        {"source": ExternalImageSource(image="ghcr.io/")},
        {"source": ExternalImageSource(image="ghcr.io/Team/app")},
        {"source": ExternalImageSource(image="é")},
        {"source": ExternalImageSource(image="127.0.0.1:5000/a")},
        {"source": ExternalImageSource(image="[::1]:5000/a")},
        {"source": ExternalImageSource(image="[fd00::1]/a")},
        {"source": ExternalImageSource(image="169.254.169.254/a")},
        {"source": ExternalImageSource(image="0.0.0.0/a")},
        {"source": ExternalImageSource(image="registry.localhost/a")},
        {"source": ExternalImageSource(image="", registry_id="r", image_ref="")},
        {"autoscale": dataclasses.replace(_POLICY, max_replicas=0)},
        {"autoscale": dataclasses.replace(_POLICY, min_replicas=4)},
        {"autoscale": dataclasses.replace(_POLICY, target_cpu_pct=0)},
        {"autoscale": dataclasses.replace(_POLICY, target_cpu_pct=101)},
        {"autoscale": dataclasses.replace(_POLICY, target_mem_pct=0)},
        {"autoscale": dataclasses.replace(_POLICY, min_replicas=-1)},
        {"autoscale": dataclasses.replace(_POLICY, min_replicas=0)},
        {"autoscale": dataclasses.replace(_POLICY, target_mem_pct=101)},
        {"autoscale": dataclasses.replace(_POLICY, idle_timeout_s=59)},
        {"endpoints": (ServiceEndpoint(name="a b", protocol=Protocol.TCP, internal_port=1),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.TCP, internal_port=0),)},
        {"endpoints": (ServiceEndpoint(name="", protocol=Protocol.TCP, internal_port=1),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.TCP, internal_port=65536),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.TCP, internal_port=1, public_port=0),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.TCP, internal_port=1, public_port=65536),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.HTTP, internal_port=1, public_port=2),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.TCP, internal_port=1),) * 2},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.UDP, internal_port=1),)},
        {"endpoints": (ServiceEndpoint(name="a", protocol=Protocol.HTTP, internal_port=8081),)},
        {"endpoints": tuple(ServiceEndpoint(name=f"a{n}", protocol=Protocol.TCP, internal_port=1) for n in range(33))},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    check_service(_GOOD, allow_private_registries=False)
    with pytest.raises(Invalid):
        check_service(dataclasses.replace(_GOOD, **changes), allow_private_registries=False)


def test_redaction_keeps_names_and_order_and_hides_every_value() -> None:
    assert redact_env((("B", "1"), ("A", "2"))) == (("B", REDACTED), ("A", REDACTED))
