"""TCP endpoints on a real platform: reached through the ingress, across releases, and gone with their service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from client.api import Api
from client.faults import Refused
from client.messages import Service
from tests.e2e.platform import Platform, await_end, begin_deployment, deploy_site, pack_site, put_service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_COMMAND = (
    '["/bin/busybox", "sh", "-c", "/bin/busybox httpd -p 8080 -h /www; exec /bin/busybox nc -ll -p 9000 '
    "-e /bin/busybox sh -c '/bin/busybox cat /www/index.html; echo; exec /bin/busybox cat'\"]"
)
"""Answers HTTP for its health check, and at port 9000 says what release it is and then whatever it is told."""


class Connection:
    """A connection to an endpoint."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hear(self) -> str:
        async with asyncio.timeout(10):
            return (await self._reader.readline()).decode().strip()

    async def echo(self, word: str) -> str:
        self._writer.write(f"{word}\n".encode())
        return await self.hear()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def _release_at(port: int) -> str | None:
    try:
        async with connected(port) as connection:
            return await connection.hear()
    except ConnectionError:
        return None


async def _put(api: Api, name: str, *endpoints: dict[str, Any]) -> tuple[Service, int]:
    service = await put_service(api, name, endpoints=list(endpoints))
    port = service.endpoints[0].public_port
    assert port is not None
    return service, port


def _echo(port: int | None = None) -> dict[str, Any]:
    return {"name": "echo", "protocol": "tcp", "internal_port": 9000, "public_port": port}


async def test_a_connection_outlives_the_release_that_took_it_and_the_next_ones_get_the_new(
    platform: Platform, api: Api
) -> None:
    del platform
    service, port = await _put(api, "echo", _echo())
    first = await deploy_site(api, service, await pack_site("one", command=_COMMAND))
    assert first.status == "Healthy", first.reason
    async with connected(port) as connection:
        assert await connection.hear() == "one"
        assert await connection.echo("hello") == "hello"
        second = await begin_deployment(api, service, await pack_site("two", command=_COMMAND))
        words = 0
        while (await api.get_deployment(second.id)).status in {"Pending", "Building", "Starting"}:
            assert await connection.echo(f"word {words}") == f"word {words}"
            words += 1
            await asyncio.sleep(0.05)
        ended = await await_end(api, second.id)
        assert ended.status == "Healthy", ended.reason
        assert [await _release_at(port) for _ in range(5)] == ["two"] * 5
        assert await connection.echo("still") == "still"
        assert words > 0
    assert (await _put(api, "echo", _echo()))[1] == port


async def test_a_killed_proxy_listens_again_and_a_deleted_service_frees_its_port(platform: Platform, api: Api) -> None:
    service, port = await _put(api, "listen", _echo())
    ended = await deploy_site(api, service, await pack_site("here", command=_COMMAND))
    assert ended.status == "Healthy", ended.reason
    assert await _release_at(port) == "here"
    pid = await platform.kill("haproxy")
    await platform.await_back("haproxy", pid)

    async def answers() -> bool:
        return await _release_at(port) == "here"

    await eventually(answers, seconds=20)
    with pytest.raises(Refused) as refused:
        await put_service(api, "other", endpoints=[_echo(port)])
    assert (refused.value.remote_status, refused.value.remote_code) == (409, "port_taken")
    await api.delete_service(service.id)

    async def refuses() -> bool:
        try:
            async with connected(port):
                return False
        except ConnectionRefusedError:
            return True

    await eventually(refuses, seconds=30)
    assert (await _put(api, "other", _echo(port)))[1] == port


@pytest.mark.parametrize("endpoint", [_echo(80), {**_echo(), "protocol": "udp"}, {**_echo(), "protocol": "http"}])
async def test_an_endpoint_that_would_not_be_served_is_refused(api: Api, endpoint: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        await put_service(api, "refused", endpoints=[endpoint])
    assert refused.value.remote_status == 400
