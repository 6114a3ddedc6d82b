"""Clients of the API that `/v1` keeps to, as they speak: a command line request by request, and what a page reads."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import zstandard

from tests.e2e.platform import Platform, write_site
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_PASSWORD: Final = "correct horse battery"
_NUMBER = (int, float)
_NONE = type(None)
_CPU: Final = {f"{kind}_jiffies": int for kind in ("user", "nice", "system", "idle", "iowait")}
_PAGE: Final[dict[str, dict[str, Any]]] = {
    "/v1/users": {"id": str, "username": str, "is_super_admin": bool, "created_at": str},
    "/v1/users/directory": {"id": str, "username": str},
    "/v1/api-tokens": {"id": str, "user_id": str, "name": str, "created_at": str},
    "/v1/auth/sessions": {"id": str, "expires_at": str},
    "/v1/projects": {
        "id": str,
        "name": str,
        "description": (str, _NONE),
        "shared_env": list,
        "default_resource_limits": (dict, _NONE),
        "created_at": str,
    },
    "/v1/services": {
        "id": str,
        "project_id": str,
        "name": str,
        "domains": list,
        "source": dict,
        "internal_port": int,
        "health_check": dict,
        "resource_limits": (dict, _NONE),
        "env": list,
        "tls_enabled": bool,
        "autoscale": (dict, _NONE),
        "endpoints": list,
    },
    "/v1/services/{service}/deployments": {
        "id": str,
        "service_id": str,
        "request": dict,
        "status": str,
        "created_at": str,
        "artifact": dict,
    },
    "/v1/services/{service}/domains": {
        "id": str,
        "service_id": str,
        "hostname": str,
        "status": str,
        "challenge_token": str,
        "verified_at": (str, _NONE),
        "last_check_at": (str, _NONE),
        "last_error": (str, _NONE),
        "created_at": str,
    },
    "/v1/services/{service}/metrics": {
        "service_name": str,
        "cpu_usage_usec": int,
        "memory_current_bytes": int,
    },
    "/v1/services/{service}/requests": {
        "service_name": str,
        "method": str,
        "path": str,
        "status": int,
        "bytes": (int, _NONE),
        "duration_ms": (int, _NONE),
        "recorded_at": str,
    },
    "/v1/workloads": {
        "service_id": str,
        "service_name": str,
        "project_id": str,
        "deployment_id": (str, _NONE),
        "status": (str, _NONE),
        "cpu_usage_usec": (int, _NONE),
        "memory_current_bytes": (int, _NONE),
        "replica_count": int,
        "healthy_replicas": int,
    },
    "/v1/ingress/routes": {"route_key": str, "service_name": str, "domains": list, "tls": bool},
    "/v1/metrics/node": {
        "cpu": dict,
        "memory_total_bytes": int,
        "memory_available_bytes": int,
        "load_1m": _NUMBER,
        "load_5m": _NUMBER,
        "load_15m": _NUMBER,
        "disk_total_bytes": int,
        "disk_available_bytes": int,
        "recorded_at": str,
    },
    "/v1/registry/status": {
        "repositories": int,
        "blobs": int,
        "total_bytes": int,
        "last_gc_at": (str, _NONE),
        "last_gc_deleted_bytes": int,
    },
    "/v1/registry/repositories": {
        "project_id": str,
        "project_name": str,
        "service_id": str,
        "service_name": str,
        "repository": str,
        "tags": list,
    },
}
"""What a page reads of each answer, or of each element of it: field and type."""


class _Session:
    """One client with its credential."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self.http = http
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The document that answers, which has this status."""
        async with self.http.request(method, self.url + path, json=body, headers=self.headers) as answer:
            assert answer.status == status, (method, path, await answer.text())
            return await answer.json()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def _sign_in(http: aiohttp.ClientSession, platform: Platform, name: str) -> _Session:
    """As `auth` does: a look whether anybody is there, a session, a token that stays, and a look whether it works."""
    admin = _Session(http, platform.api_url, platform.token)
    person = {"username": name, "password": _PASSWORD, "is_super_admin": True}
    assert set(await admin.ask("POST", "/v1/users", person, status=201)) == set(_PAGE["/v1/users"])
    async with http.get(f"{platform.api_url}/healthz") as answer:
        assert answer.ok
    login = {"username": name, "password": _PASSWORD}
    async with http.post(f"{platform.api_url}/v1/auth/login", json=login) as answer:
        assert answer.status == 200
        signed_in = await answer.json()
    assert set(signed_in) == {"token", "expires_at"}
    session = _Session(http, platform.api_url, signed_in["token"])
    minted = await session.ask("POST", "/v1/api-tokens", {"name": "cli"}, status=201)
    assert {"id", "name", "token"} <= set(minted)
    client = _Session(http, platform.api_url, minted["token"])
    me = await client.ask("GET", "/v1/me")
    assert me["principal"]["kind"] == "user"
    assert set(me["principal"]["user"]) == {"id", "username", "created_at"}
    assert (me["is_super_admin"], me["admin_initialized"], me["memberships"]) == (True, True, [])
    return client


async def _create(client: _Session, project: str, service: str) -> str:
    """As `create` does: the project by name or a new one, and a service that takes uploads; its id."""
    projects = await client.ask("GET", "/v1/projects")
    assert project not in [one["name"] for one in projects]
    made = await client.ask("POST", "/v1/projects", {"name": project}, status=201)
    assert service not in [one["name"] for one in await client.ask("GET", "/v1/services")]
    config = {
        "project_id": made["id"],
        "name": service,
        "domains": [],
        "source": {"type": "upload"},
        "internal_port": 8080,
        "health_check": {"path": "/", "timeout_seconds": 30},
        "resource_limits": None,
        "env": [],
        "tls_enabled": False,
        "autoscale": None,
    }
    created = await client.ask("POST", "/v1/services", config)
    assert {name: created[name] for name in config} == config
    return str(created["id"])


def _pack(folder: Path) -> bytes:
    """The files of a folder in the order of their names, without entries for directories."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            tar.add(path, arcname=str(path.relative_to(folder)))
    return zstandard.compress(plain.getvalue())


async def _push(client: _Session, service_id: str, archive: bytes) -> dict[str, Any]:
    """As `push` does: upload, deploy, print the log until it ends, and ask for the status; the deployment."""
    async with client.http.post(
        f"{client.url}/v1/services/{service_id}/uploads",
        data=io.BytesIO(archive),
        headers={**client.headers, "Content-Type": "application/zstd"},
    ) as answer:
        assert answer.status == 200, await answer.text()
        uploaded = await answer.json()
    assert set(uploaded) == {"upload_id", "expires_at"}
    asked = {
        "source": "upload",
        "service_id": service_id,
        "upload_id": uploaded["upload_id"],
        "dockerfile_path": "Dockerfile",
        "context_path": ".",
    }
    begun = await client.ask("POST", "/v1/deployments", asked, status=202)
    assert (begun["status"], begun["request"]) == ("Pending", asked)
    assert "artifact" not in begun
    async with client.http.get(f"{client.url}/v1/deployments/{begun['id']}/logs", headers=client.headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        log = await answer.text()
    assert log.rstrip("\n").endswith('event: done\ndata: {"status":"Healthy"}'), log[-500:]
    phases = [line.split(" ", 3)[2] for line in log.splitlines() if line.startswith("data: 2")]
    assert (phases[0], phases[-1]) == ("START", "HEALTHY")
    seen: dict[str, Any] = await client.ask("GET", f"/v1/deployments/{begun['id']}")
    assert seen["status"] == "Healthy"
    return seen


async def _look_inside(client: _Session, service_id: str, deployment_id: str) -> None:
    """As `console` does: the replicas, a ticket, the socket without any credential, and the word `exit` as it comes."""
    (replica,) = await client.ask("GET", f"/v1/services/{service_id}/console/replicas")
    assert (replica["replica_index"], replica["deployment_id"], replica["state"]) == (0, deployment_id, "running")
    asked = {"replica_index": 0, "cols": 80, "rows": 24}
    ticket = await client.ask("POST", f"/v1/services/{service_id}/console/tickets", asked)
    assert {"ticket", "expires_at", "ws_path"} <= set(ticket)
    url = client.url.replace("http://", "ws://") + ticket["ws_path"]
    shown, frames = b"", []
    async with client.http.ws_connect(url) as websocket, asyncio.timeout(60):
        await websocket.send_bytes(b"echo so$((40 + 2)); exit 3\n")
        async for message in websocket:
            if message.type is aiohttp.WSMsgType.BINARY:
                shown += message.data
            else:
                frames.append(message.data)
    assert b"so42" in shown
    assert json.loads(frames[0])["type"] == "ready"
    assert '"type":"exit"' in frames[-1]
    assert json.loads(frames[-1]) == {"type": "exit", "code": 3}


async def test_a_command_line_signs_in_creates_pushes_and_opens_a_console(
    http: aiohttp.ClientSession, platform: Platform, tmp_path: Path
) -> None:
    await asyncio.to_thread(write_site, tmp_path / "site", "older")
    client = await _sign_in(http, platform, "ada")
    service_id = await _create(client, "older", "pushed")
    deployment = await _push(client, service_id, await asyncio.to_thread(_pack, tmp_path / "site"))
    assert {"id", "digest", "kind", "source", "created_at"} <= set(deployment["artifact"])
    assert deployment["artifact"]["kind"] == "OciImage"
    assert deployment["artifact"]["source"]["type"] == "uploaded_context"
    await _look_inside(client, service_id, deployment["id"])
    async with http.get(platform.ingress_url, headers={"Host": "pushed-older.localhost"}) as answer:
        assert (answer.status, await answer.text()) == (200, "older")

    await _read_as_a_page(client, service_id)
    assert await client.ask("POST", f"/v1/services/{service_id}/stop", status=202)
    assert (await client.ask("GET", f"/v1/deployments/{deployment['id']}"))["status"] == "Stopped"
    assert await client.ask("DELETE", f"/v1/services/{service_id}") == {"deleted": True}
    assert await client.ask("POST", "/v1/auth/logout") == {"logged_out": True}


async def _read_as_a_page(client: _Session, service_id: str) -> None:
    """Everything that a page shows has the fields it reads, none of them left out where there is nothing to say."""

    async def is_measured() -> bool:
        return bool(await client.ask("GET", f"/v1/services/{service_id}/metrics"))

    await eventually(is_measured, seconds=30)
    for path, fields in _PAGE.items():
        told = await client.ask("GET", path.format(service=service_id))
        elements = told if isinstance(told, list) else [told]
        assert elements, path
        for element in elements:
            wrong = {name: element.get(name, "left out") for name in fields if not _is(element, name, fields[name])}
            assert not wrong, (path, wrong)
    numbers = await client.ask("GET", "/v1/metrics/node")
    assert all(_is(numbers["cpu"], name, kind) for name, kind in _CPU.items())


def _is(element: dict[str, Any], name: str, kind: Any) -> bool:
    return name in element and isinstance(element[name], kind)
