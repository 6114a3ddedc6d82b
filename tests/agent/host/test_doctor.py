"""The doctor of a node finds what is really wrong on a machine, beside what it cannot see."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.host.identity_files import IdentityFiles
from kit import tls
from wire.identity import CONTROL_HOST, CONTROL_URI, node_uri

NODE = "0192f0c1-2222-7000-8000-000000000001"


async def _examine(folder: Path, **settings: object) -> tuple[int, dict[str, Any]]:
    """The doctor's exit status, and its findings by check."""
    values = {"data_dir": str(folder / "agent"), **settings}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())

    def work() -> subprocess.CompletedProcess[str]:
        (folder / "agent.toml").write_text(text)
        command = [sys.executable, "-m", "agent", "doctor", "--json", "--config", str(folder / "agent.toml")]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = await asyncio.to_thread(work)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["healthy"] is (done.returncode == 0)
    return done.returncode, {finding["check"]: finding for finding in told["findings"]}


async def _enrol(folder: Path, *, control_url: str, lived: dt.timedelta) -> str:
    """Give the folder an identity whose certificate of 90 days is that old; the authority's PEM with its key."""
    now = dt.datetime.now(dt.UTC) - lived
    authority_key = tls.make_key()
    authority = tls.make_authority(authority_key, common_name="test", now=now, lifetime=dt.timedelta(days=3650))
    key, request = await IdentityFiles(folder / "agent/identity").make_request(common_name="node")
    certificate = tls.sign_certificate(
        request,
        tls.Names(common_name="node", uri=node_uri(NODE)),
        authority_pem=authority,
        authority_key_pem=authority_key,
        now=now,
        lifetime=dt.timedelta(days=90),
    )
    await IdentityFiles(folder / "agent/identity").write(
        node_id=NODE,
        name="one",
        control_url=control_url,
        authority_pem=authority,
        certificate_pem=certificate,
        key_pem=key,
    )
    return authority + authority_key


@asynccontextmanager
async def _control(authority: str, *, folder: Path, ahead_seconds: float) -> AsyncIterator[str]:
    """A node side that answers under the authority with a clock that is ahead; its URL."""
    pem, marker, key = authority.partition("-----BEGIN PRIVATE KEY-----")
    now = dt.datetime.now(dt.UTC)
    own_key = tls.make_key()
    own = tls.sign_certificate(
        tls.make_signing_request(own_key, common_name="controld"),
        tls.Names(common_name="controld", uri=CONTROL_URI, hosts=(CONTROL_HOST,)),
        authority_pem=pem,
        authority_key_pem=marker + key,
        now=now,
        lifetime=dt.timedelta(days=1),
    )
    file = folder / "control.pem"
    await asyncio.to_thread(file.write_text, own + own_key)
    context = tls.server_context(certificate=file, key=file, authority_pem=pem, client_required=False)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ahead_seconds)
        writer.write(
            f"HTTP/1.1 200 OK\r\nDate: {date:%a, %d %b %Y %H:%M:%S GMT}\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_machine_without_engine_proxy_and_identity_is_told_all_of_it_at_once(tmp_path: Path) -> None:
    status, found = await _examine(
        tmp_path,
        docker_socket=str(tmp_path / "none.sock"),
        haproxy_binary=str(tmp_path / "haproxy"),
        haproxy_run_dir=str(tmp_path / "run"),
    )
    assert status == 1
    failed = {check for check, finding in found.items() if finding["verdict"] == "fail"}
    assert {"engine", "ingress program", "ingress sockets", "identity"} <= failed
    assert all(finding["mend"] for finding in found.values() if finding["verdict"] == "fail")


async def test_a_stranger_on_a_port_is_named(tmp_path: Path, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        _, found = await _examine(tmp_path, http_port=free_port)
    finding = found[f"port {free_port}"]
    assert finding["verdict"] == "fail"
    assert "python" in finding["found"]


async def test_a_certificate_that_ran_out_fails_and_one_overdue_warns(tmp_path: Path) -> None:
    await _enrol(tmp_path, control_url="https://127.0.0.1:1", lived=dt.timedelta(days=91))
    _, found = await _examine(tmp_path)
    assert found["node certificate"]["verdict"] == "fail"
    assert found["control"]["verdict"] == "fail"
    await asyncio.to_thread(shutil.rmtree, tmp_path / "agent")
    await _enrol(tmp_path, control_url="https://127.0.0.1:1", lived=dt.timedelta(days=70))
    _, found = await _examine(tmp_path)
    assert found["node certificate"]["verdict"] == "warn"


@pytest.mark.parametrize(("ahead_seconds", "verdict"), [(0.0, "ok"), (120.0, "fail")])
async def test_a_clock_is_held_against_that_of_controld(tmp_path: Path, ahead_seconds: float, verdict: str) -> None:
    authority = await _enrol(tmp_path, control_url="https://127.0.0.1:1", lived=dt.timedelta())
    async with _control(authority, folder=tmp_path, ahead_seconds=ahead_seconds) as url:
        _, found = await _examine(tmp_path, control_url=url)
    assert found["control"]["verdict"] == "ok", found["control"]
    assert found["clock"]["verdict"] == verdict, found["clock"]


async def test_an_identity_that_others_can_read_fails(tmp_path: Path) -> None:
    await _enrol(tmp_path, control_url="https://127.0.0.1:1", lived=dt.timedelta())
    file = tmp_path / "agent/identity/identity.json"
    await asyncio.to_thread(file.chmod, 0o644)
    _, found = await _examine(tmp_path)
    assert found["identity file"]["mend"] == f"chmod 600 {file}"


async def test_a_full_disk_fails(tmp_path: Path) -> None:
    def mount(*arguments: str) -> None:
        subprocess.run(arguments, check=True, timeout=20)

    folder = tmp_path / "small"
    folder.mkdir()
    await asyncio.to_thread(mount, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    try:
        _, found = await _examine(tmp_path, data_dir=str(folder))
    finally:
        await asyncio.to_thread(mount, "umount", str(folder))
    assert found["disk of the agent"]["verdict"] == "fail"
