"""The OCI distribution specification 1.1, requirement by requirement, against a controld that runs."""

from __future__ import annotations

import base64
import collections
import secrets
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.contract.distribution import discovery, management, pull, push
from tests.contract.distribution.client import REQUIREMENTS, Registry, Requirement
from tests.controld.process import running_controld
from tests.fixtures.network import find_free_port

_WORKFLOWS = (pull, push, discovery, management)
_TOKEN = secrets.token_hex(32)
_SERVICE = {
    "source": {"type": "upload"},
    "domains": [],
    "internal_port": 8080,
    "health_check": {"path": "/", "timeout_seconds": 5},
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("way", ["basic", "token"])
async def test_all_that_the_specification_asks(tmp_path: Path, algorithm: str, way: str) -> None:
    port = find_free_port()
    realm = {"registry_token_url": f"http://127.0.0.1:{port}/v2/token"} if way == "token" else {}
    async with running_controld(tmp_path, port=port, setup_secret=_TOKEN, **realm) as http:
        await _add_services(http, "one", "two")
        header = await _fetch_token(http) if way == "token" else _basic()
        url = f"http://127.0.0.1:{port}"
        async with ClientSession(url, headers={"Authorization": header}, timeout=ClientTimeout(total=30)) as session:
            registry = Registry(
                http=session, repository="conformance/one", other="conformance/two", algorithm=algorithm
            )
            failed = [text for each in REQUIREMENTS if (text := await _judge(registry, each))]
    assert not failed, "\n".join(failed)
    counts = collections.Counter(each.workflow for each in REQUIREMENTS)
    assert len(counts) == len(_WORKFLOWS)
    told = ", ".join(f"{workflow} {count} of {count}" for workflow, count in counts.items())
    print(f"\ndistribution 1.1 by {algorithm} and {way}: {told}")


async def _judge(registry: Registry, each: Requirement) -> str:
    try:
        await each.check(registry)
    except Exception as error:  # noqa: BLE001 - every failure is told, with the requirement that it breaks
        return f"{each.workflow}: {each.says}: {error!r}"
    return ""


async def _add_services(http: ClientSession, *names: str) -> None:
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    async with http.post("/v1/projects", json={"name": "conformance"}, headers=headers) as answer:
        project_id = (await answer.json())["id"]
    for name in names:
        body = {**_SERVICE, "project_id": project_id, "name": name}
        async with http.post("/v1/services", json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()


def _basic() -> str:
    return "Basic " + base64.b64encode(f"anyone:{_TOKEN}".encode()).decode()


async def _fetch_token(http: ClientSession) -> str:
    """What a client that is sent to the token endpoint brings back."""
    async with http.get("/v2/") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    scopes = [
        "repository:conformance/one:*",
        "repository:conformance/two:*",
        "repository:no/where:*",
        "registry:catalog:*",
    ]
    params = [("service", "moorage"), *(("scope", scope) for scope in scopes)]
    async with http.get("/v2/token", params=params, headers={"Authorization": _basic()}) as answer:
        return f"Bearer {(await answer.json())['token']}"
