"""The control daemon as a process: claimed once, restarted, and refused where it cannot work."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientTimeout

from controld.store import sops
from kit.clock import SystemClock
from tests.controld.app import bearer, service_body
from tests.controld.process import running_controld, start_controld
from tests.fixtures.network import find_free_port
from tests.lint_exposition import read_exposition
from wire.version import RELEASE


async def _post(http: ClientSession, path: str, body: Any, *, token: str | None = None) -> Any:
    async with http.post(path, json=body, headers={} if token is None else bearer(token)) as answer:
        assert answer.status in {200, 201}, await answer.text()
        return await answer.json()


async def _get(http: ClientSession, path: str, *, token: str) -> Any:
    async with http.get(path, headers=bearer(token)) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_what_was_made_is_there_after_a_restart(tmp_path: Path, free_port: int) -> None:
    folder = tmp_path / "data"
    async with running_controld(folder, port=free_port) as http:
        setup_secret, mode = await asyncio.to_thread(_read_secret, folder)
        assert mode == 0o600
        assert len(setup_secret) >= 64
        login = {"username": "root", "password": "correct horse"}
        await _post(http, "/v1/bootstrap", login, token=setup_secret)
        session = (await _post(http, "/v1/auth/login", login))["token"]
        api_token = (await _post(http, "/v1/api-tokens", {"name": "ci"}, token=session))["token"]
        project = await _post(http, "/v1/projects", {"name": "shop"}, token=session)
        service = await _post(http, "/v1/services", service_body(project["id"]), token=api_token)
        assert service["assigned_hostname"] == "web-shop.localhost"
        await _get(http, "/v1/me", token=session)
    async with running_controld(folder, port=free_port) as http:
        assert await _get(http, f"/v1/services/{service['id']}", token=session) == service
        assert await _get(http, f"/v1/services/{service['id']}", token=api_token) == service
        assert (await asyncio.to_thread(_read_secret, folder))[0] == setup_secret
        me = await _get(http, "/v1/me", token=setup_secret)
        assert me["admin_initialized"] is True


async def test_prometheus_reads_it_with_the_token_that_stands_in_a_file(tmp_path: Path, free_port: int) -> None:
    folder = tmp_path / "data"
    async with running_controld(folder, port=free_port) as http:
        file = folder / "metrics-token"
        token, mode = await asyncio.to_thread(lambda: (file.read_text().strip(), file.stat().st_mode & 0o777))
        assert mode == 0o600
        async with http.get("/metrics", headers=bearer(token)) as answer:
            assert answer.status == 200
            told = read_exposition(await answer.text())
        requests = {
            sample.labels["route"]: sample.value for sample in told["moorage_controld_http_requests_total"].samples
        }
        assert requests["/healthz"] >= 1
        assert told["moorage_controld_build_info"].samples[0].labels["version"] == RELEASE
        assert told["moorage_controld_process_resident_memory_bytes"].samples[0].value > 10_000_000
        assert told["moorage_controld_database_up"].samples[0].value == 1
    assert await asyncio.to_thread(file.read_text) == token + "\n"


async def test_until_the_first_admin_exists_the_listener_stays_on_loopback(tmp_path: Path, free_port: int) -> None:
    secret = "x" * 64
    settings = {"listen_host": "0.0.0.0", "setup_secret": secret}
    other = f"http://127.0.0.2:{free_port}"  # 127.0.0.1 is served alone; another loopback address stands for outside
    async with ClientSession(other, timeout=ClientTimeout(total=5)) as outside:
        async with running_controld(tmp_path, port=free_port, **settings) as http:
            with pytest.raises(ClientConnectionError):
                await outside.get("/healthz")
            await _post(http, "/v1/bootstrap", {"username": "root", "password": "correct horse"}, token=secret)
            await _until_it_answers(outside)
            assert (await _get(http, "/v1/me", token=secret))["admin_initialized"] is True
        async with running_controld(tmp_path, port=free_port, **settings):
            assert await _answers(outside)


async def _until_it_answers(http: ClientSession) -> None:
    async with asyncio.timeout(5):
        while True:
            if await _answers(http):
                return
            await asyncio.sleep(0.02)


async def _answers(http: ClientSession) -> bool:
    try:
        async with http.get("/healthz") as answer:
            return answer.status == 200
    except ClientConnectionError:
        return False


def _read_secret(folder: Path) -> tuple[str, int]:
    file = folder / "setup-secret"
    return file.read_text().strip(), file.stat().st_mode & 0o777


async def _fail(folder: Path, *, port: int, **settings: str) -> tuple[int | None, str]:
    process = await start_controld(folder, port=port, **settings)
    _, said = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode()


async def test_a_second_controld_on_the_same_data_is_refused(tmp_path: Path, free_port: int) -> None:
    async with running_controld(tmp_path, port=free_port):
        code, said = await _fail(tmp_path, port=0)
    assert code == 1
    assert "another controld works in" in said


async def test_settings_that_cannot_be_are_all_told_at_once(tmp_path: Path) -> None:
    code, said = await _fail(tmp_path, port=70000, setup_secret="short", base_domain="no such domain")
    assert code == 2
    for name in ("listen_port", "setup_secret", "base_domain"):
        assert name in said


async def test_a_database_of_a_newer_release_is_told_in_one_line(tmp_path: Path, free_port: int) -> None:
    async with running_controld(tmp_path, port=free_port):
        pass
    await asyncio.to_thread(_set_revision, tmp_path / "controld.db")
    code, said = await _fail(tmp_path, port=free_port)
    assert code == 1
    assert "written by a newer release" in said
    assert "Traceback" not in said


def _set_revision(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()


async def _examine(folder: Path, *, port: int, **settings: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controld",
        "doctor",
        "--json",
        env={
            **os.environ,
            "MOORAGE_DATA_DIR": str(folder),
            "MOORAGE_LISTEN_PORT": str(port),
            "MOORAGE_NODE_LISTEN_PORT": "0",
            **settings,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    status = process.returncode
    assert status is not None
    return status, {finding["check"]: finding for finding in json.loads(said)["findings"]}


async def test_the_doctor_finds_nothing_wrong_beside_a_daemon_that_works(tmp_path: Path, free_port: int) -> None:
    folder = tmp_path / "data"
    async with running_controld(folder, port=free_port):
        status, found = await _examine(folder, port=free_port)
    assert {check for check, finding in found.items() if finding["verdict"] in {"fail", "unknown"}} == set()
    assert status == 0
    assert found[f"port {free_port}"]["found"].startswith("ours")
    assert {"database", "database file", "authority", "own certificate", "data folder"} <= set(found)


async def test_the_doctor_asks_the_authority_of_certificates_where_there_is_one(tmp_path: Path, free_port: int) -> None:
    _, found = await _examine(tmp_path / "data", port=free_port)
    assert found["certificate authority"]["verdict"] == "ok"
    assert "acme_email is not set" in found["certificate authority"]["found"]
    url = f"https://127.0.0.1:{find_free_port()}/directory"
    status, found = await _examine(
        tmp_path / "data", port=free_port, MOORAGE_ACME_EMAIL="ops@example.com", MOORAGE_ACME_DIRECTORY_URL=url
    )
    assert status == 1
    assert found["certificate authority"]["verdict"] == "fail"
    assert found["certificate authority"]["found"].startswith(f"{url}: the authority does not answer as one")


async def test_the_doctor_tells_a_newer_database_an_open_key_and_damage(tmp_path: Path, free_port: int) -> None:
    folder = tmp_path / "data"
    async with running_controld(folder, port=free_port):
        pass

    def spoil() -> None:
        (folder / "authority/authority.pem").chmod(0o644)
        connection = sqlite3.connect(folder / "controld.db")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()

    await asyncio.to_thread(spoil)
    status, found = await _examine(folder, port=free_port)
    assert status == 1
    assert found["database"]["verdict"] == "fail"
    assert "newer" in found["database"]["found"]
    assert found["authority/authority.pem"]["mend"].startswith("chmod 600")

    def forget_key() -> None:
        secret = folder / "secrets/platform/account.json"
        secret.parent.mkdir(parents=True, exist_ok=True)
        other = sops.find_recipient(sops.make_identity())
        secret.write_bytes(sops.seal_document({"key": "x"}, recipients=(other,), modified_at=SystemClock().now()))

    await asyncio.to_thread(forget_key)
    _, found = await _examine(folder, port=free_port)
    assert found["secrets"]["verdict"] == "fail"
    assert "platform/account" in found["secrets"]["found"]

    def damage() -> None:
        file = folder / "controld.db"
        data = bytearray(file.read_bytes())
        data[4096 * 3 : 4096 * 30] = b"\xa5" * (4096 * 27)
        file.write_bytes(data)

    await asyncio.to_thread(damage)
    status, found = await _examine(folder, port=free_port)
    assert status == 1
    assert found["database file"]["verdict"] == "fail"
