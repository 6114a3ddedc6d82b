"""The rendered files: what HAProxy accepts, and what is refused before it could be rendered."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.host.haproxy.config import (
    HaproxyPaths,
    HaproxySettings,
    parse_keys,
    parse_pool_size,
    render_hosts,
    render_keys,
    render_pool,
)
from agent.host.haproxy.driver import HaproxyIngress
from agent.model.ingress import IngressState, Route, Server, ServerState
from kit.clock import SystemClock
from tests.certificates import make_pair

STATE = IngressState(
    routes=(
        Route(
            key="svc-1",
            hosts=("a.test", "b.test"),
            servers=(
                Server(name="r1", address="10.0.0.1", port=80),
                Server(name="r2", address="fd00::1", port=81, state=ServerState.MAINT),
                Server(name="r3", address="10.0.0.3", port=80, state=ServerState.DRAIN),
            ),
        ),
        Route(key="svc-2", hosts=("c.test",)),
    )
)


def check(paths: HaproxyPaths) -> str:
    """What HAProxy says against the files; empty when it takes them without a word."""
    done = subprocess.run(
        ["haproxy", "-c", "-q", "-f", str(paths.base), "-f", str(paths.pool)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else done.stderr


def ingress(paths: HaproxyPaths, settings: HaproxySettings) -> HaproxyIngress:
    return HaproxyIngress(paths, settings, clock=SystemClock(), pool_size=3)


def test_a_pool_serves_only_ready_servers_after_a_start() -> None:
    text = render_pool(STATE, {"svc-1": "p0001"}, 3, paths=HaproxyPaths(state=Path("/s"), run=Path("/r")), bind="*:80")
    assert parse_pool_size(text) == 3
    servers = [line.split() for line in text.splitlines() if line.startswith("  server")]
    assert [(line[1], line[2], line[-1] == "disabled") for line in servers] == [
        ("r1", "10.0.0.1:80", False),
        ("r2", "[fd00::1]:81", True),
        ("r3", "10.0.0.3:80", True),
    ]


def test_maps_hold_the_placed_routes_only() -> None:
    placement = {"svc-1": "p0001"}
    assert render_hosts(STATE, placement) == "a.test p0001\nb.test p0001\n"
    assert render_keys(STATE, placement) == "p0001 svc-1\n"
    assert parse_keys(render_keys(STATE, placement) + "\nodd line here\n") == {"p0001": "svc-1"}


async def test_haproxy_takes_every_variant_of_the_base_without_a_warning(tmp_path: Path) -> None:
    paths = HaproxyPaths(state=tmp_path / "state", run=tmp_path / "run")
    await ingress(
        paths,
        HaproxySettings(http_bind="127.0.0.1:0,[::1]:0", https_bind=None, threads=1),
    ).prepare()
    assert check(paths) == ""


async def test_https_is_bound_before_there_is_a_certificate_and_takes_those_of_the_list(tmp_path: Path) -> None:
    paths = HaproxyPaths(state=tmp_path / "state", run=tmp_path / "run")
    settings = HaproxySettings(http_bind="127.0.0.1:0", https_bind="127.0.0.1:0")
    await ingress(paths, settings).prepare()
    assert check(paths) == ""
    (tmp_path / "a.test.pem").write_text(make_pair("a.test").pem)
    paths.crt_list.write_text(f"{tmp_path}/a.test.pem a.test\n")
    assert check(paths) == ""


def test_the_start_command_names_both_files_and_the_master_socket(tmp_path: Path) -> None:
    paths = HaproxyPaths(state=tmp_path / "state", run=tmp_path / "run")
    assert paths.command("/usr/sbin/haproxy") == (
        "/usr/sbin/haproxy",
        "-W",
        "-db",
        "-S",
        str(tmp_path / "run/master.sock"),
        "-f",
        str(tmp_path / "state/base.cfg"),
        "-f",
        str(tmp_path / "state/pool.cfg"),
    )


@pytest.mark.parametrize("path", ["relative", "/a b", "/a\nb", "/a'b", "/a#b", "/a%b", "/a{b"])
def test_a_path_that_would_change_the_file_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        HaproxyPaths(state=Path(path), run=Path("/run/x"))


def test_settings_that_would_change_the_file_are_refused() -> None:
    with pytest.raises(ValueError, match="address"):
        HaproxySettings(http_bind="*:80\n  bind *:81")
    with pytest.raises(ValueError, match="address"):
        HaproxySettings(https_bind="*:443 ssl")
    with pytest.raises(ValueError, match="user or group"):
        HaproxySettings(user="root\n")
