"""The rendered files: what HAProxy accepts, and what is refused before it could be rendered."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.host.haproxy.config import (
    HaproxyPaths,
    HaproxySettings,
    parse_keys,
    parse_pool_size,
    render_base,
    render_hosts,
    render_keys,
    render_pool,
)
from agent.host.haproxy.driver import HaproxyIngress
from agent.model.ingress import IngressState, Route, Server, ServerState
from kit.clock import SystemClock

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
    text = render_pool(STATE, {"svc-1": "p0001"}, 3)
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
        HaproxySettings(
            http_bind="127.0.0.1:0,[::1]:0", control_domain="control.test", control_address="[::1]:7180", threads=1
        ),
    ).prepare()
    assert check(paths) == ""


async def test_https_is_bound_once_the_certificate_list_has_an_entry(tmp_path: Path) -> None:
    paths = HaproxyPaths(state=tmp_path / "state", run=tmp_path / "run")
    crt_list = tmp_path / "crt-list"
    settings = HaproxySettings(http_bind="127.0.0.1:0", https_bind="127.0.0.1:0", crt_list=crt_list)
    await ingress(paths, settings).prepare()
    assert "crt-list" not in paths.base.read_text()
    crt_list.write_text("\n")
    await ingress(paths, settings).prepare()
    assert "crt-list" not in paths.base.read_text()
    (tmp_path / "a.test.pem").write_bytes(certificate("a.test"))
    crt_list.write_text(f"{tmp_path}/a.test.pem\n")
    await ingress(paths, settings).prepare()
    assert f"bind 127.0.0.1:0 ssl crt-list {crt_list} strict-sni" in paths.base.read_text()
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
        HaproxySettings(control_address="a b")
    with pytest.raises(ValueError, match="host name"):
        HaproxySettings(control_domain="Control.test")
    with pytest.raises(ValueError, match="plain"):
        HaproxySettings(crt_list=Path("/x y"))
    with pytest.raises(ValueError, match="user or group"):
        HaproxySettings(user="root\n")


def test_base_without_tls_says_http_and_never_asks_for_it(tmp_path: Path) -> None:
    paths = HaproxyPaths(state=tmp_path, run=tmp_path)
    assert "ssl" not in render_base(paths, HaproxySettings())


def certificate(host: str) -> bytes:
    """A self-signed certificate and its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
