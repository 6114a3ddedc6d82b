"""Containers in the engine's words: what is asked for, and what an inspect answer means."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from agent.model.engine import ContainerSpec, ContainerState
from agent.rules.engine_containers import identify_run, parse_container, render_config, render_cpu

SPEC = ContainerSpec(
    name="moorage-web-0-0190",
    image="sha256:1",
    labels=(("moorage.replica", "r1"), ("moorage.node", "somebody else's")),
    env=(("A", "1"), ("A", "2"), ("B", "x=y")),
    command=("serve", "--port", "80"),
    cpu_millis=1500,
    memory_bytes=64 << 20,
    pids=100,
    network="moorage-n1",
    stop_seconds=7,
)


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "Id": "c1",
        "Name": "/web",
        "Image": "sha256:1",
        "RestartCount": 2,
        "Config": {"Labels": {"moorage.node": "n1"}},
        "HostConfig": {"NetworkMode": "moorage-n1"},
        "NetworkSettings": {
            "Networks": {"other": {"IPAddress": "172.17.0.9"}, "moorage-n1": {"IPAddress": "172.20.0.2"}}
        },
        "State": {
            "Status": "running",
            "Pid": 42,
            "ExitCode": 0,
            "OOMKilled": False,
            "Error": "",
            "StartedAt": "2026-11-22T03:30:01.490573051Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            **state,
        },
    }


def test_a_spec_becomes_a_container_under_limits_and_without_new_privileges() -> None:
    config = render_config(SPEC, node_id="n1", log_max_bytes=1000, log_files=2)
    host = config["HostConfig"]
    assert config["Labels"] == {"moorage.replica": "r1", "moorage.node": "n1"}
    assert config["Env"] == ["A=2", "B=x=y"]
    assert (config["Entrypoint"], config["Cmd"]) == (["serve"], ["--port", "80"])
    assert config["StopTimeout"] == 7
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (64 << 20, 64 << 20, 100)
    assert (host["CpuPeriod"], host["CpuQuota"]) == (100_000, 150_000)
    assert host["Init"] is True
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["CapDrop"] == ["AUDIT_WRITE", "MKNOD", "NET_RAW"]
    assert host["RestartPolicy"] == {"Name": "unless-stopped"}
    assert host["NetworkMode"] == "moorage-n1"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1000", "max-file": "2"}}
    assert "Privileged" not in host


def test_without_a_command_the_images_own_stays() -> None:
    plain = ContainerSpec(**{**{name: getattr(SPEC, name) for name in SPEC.__slots__}, "command": None})
    config = render_config(plain, node_id="n1", log_max_bytes=1, log_files=1)
    assert "Entrypoint" not in config
    assert "Cmd" not in config


@pytest.mark.parametrize(("millis", "quota"), [(0, 0), (1, 1000), (250, 25_000), (64_000, 6_400_000)])
def test_a_cpu_limit_is_a_quota_that_the_kernel_takes(millis: int, quota: int) -> None:
    assert render_cpu(millis) == {"CpuPeriod": 100_000, "CpuQuota": quota}


def test_a_running_container_has_its_pid_and_its_address_on_our_network() -> None:
    container = parse_container(inspected())
    assert (container.name, container.state, container.pid) == ("web", ContainerState.RUNNING, 42)
    assert container.ip == "172.20.0.2"
    assert (container.exit_code, container.restarts, container.error) == (None, 2, None)
    assert container.started_at == dt.datetime(2026, 11, 22, 3, 30, 1, 490573, tzinfo=dt.UTC)
    assert container.finished_at is None


def test_a_container_between_two_starts_tells_how_it_ended() -> None:
    container = parse_container(inspected(Status="restarting", Pid=0, ExitCode=137, OOMKilled=True))
    assert (container.state, container.pid, container.ip) == (ContainerState.RESTARTING, None, None)
    assert (container.exit_code, container.oom_killed) == (137, True)


def test_a_created_container_has_a_code_only_when_its_start_failed() -> None:
    fresh = parse_container(inspected(Status="created", Pid=0))
    failed = parse_container(inspected(Status="created", Pid=0, ExitCode=127, Error="no such file"))
    assert (fresh.exit_code, fresh.error) == (None, None)
    assert (failed.exit_code, failed.error) == (127, "no such file")


@pytest.mark.parametrize(
    ("row", "run"),
    [
        ({"State": "running", "NetworkSettings": {"Networks": {"a": {"EndpointID": "e1"}}}}, "e1"),
        ({"State": "exited", "NetworkSettings": {"Networks": {"a": {"EndpointID": "e1"}}}}, None),
        ({"State": "running", "NetworkSettings": {"Networks": {"a": {"EndpointID": ""}}}}, None),
        ({"State": "running", "NetworkSettings": {"Networks": None}}, None),
        ({"State": "running"}, None),
    ],
)
def test_a_run_is_named_only_where_a_restart_would_change_the_name(row: dict[str, Any], run: str | None) -> None:
    assert identify_run(row) == run
