"""Logs outlive their containers on a real platform: through a deployment, a killed agent, and a service that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from client.api import Api
from client.messages import Service
from kit.http.sse_parse import Event
from kit.tasks import Tasks
from tests.e2e.platform import Platform, deploy_site, pack_site, put_service
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_LAST = 2000


@pytest.fixture
async def session(platform: Platform) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {platform.token}"}
    async with aiohttp.ClientSession(platform.api_url, headers=headers) as session:
        yield session


def _chatter(name: str) -> str:
    """Counts until SIGTERM, and then has much to say at once."""
    return (
        '["/bin/sh", "-c", "/bin/busybox httpd -p 8080 -h /www; '
        f"trap 'm=0; while [ $m -lt {_LAST} ]; do echo {name} last $m; m=$((m+1)); done; exit' TERM; "
        f'n=0; while true; do echo {name} $n; n=$((n+1)); /bin/busybox sleep 0.05; done"]'
    )


async def _deploy(api: Api, service: Service, name: str) -> None:
    deployment = await deploy_site(api, service, await pack_site(name, command=_chatter(name)))
    assert deployment.status == "Healthy", deployment.reason


def _expect_whole(texts: list[str], name: str) -> None:
    own = [text.removeprefix(f"{name} ") for text in texts if text.startswith(f"{name} ")]
    counted = own.index("last 0")
    assert own == [*map(str, range(counted)), *(f"last {number}" for number in range(_LAST))]


async def test_a_release_that_is_replaced_is_heard_to_its_end_and_read_ever_after(
    platform: Platform, api: Api, session: aiohttp.ClientSession
) -> None:
    service = await put_service(api, "archived")
    await _deploy(api, service, "one")
    heard: list[Event] = []
    tasks = Tasks("test")

    async def follow() -> None:
        async for event in api.follow_logs(service.id, query=[("tail", "10000")]):
            heard.extend([event] * (event.event == "message"))

    def has_heard(text: str) -> bool:
        return any(event.data == text for event in heard)

    async def read(*query: tuple[str, str]) -> list[str]:
        return (await api.list_logs(service.id, [("tail", "10000"), *query]))[0]

    tasks.start("follow", follow())
    try:
        await _wait(lambda: has_heard("one 20"))
        (first,) = await platform.containers(service_id=service.id)
        await _deploy(api, service, "two")
        await _wait(lambda: has_heard(f"one last {_LAST - 1}") and has_heard("two 3"))
    finally:
        await tasks.close()
    _expect_whole([event.data for event in heard], "one")
    place = next(number for number, event in enumerate(heard) if event.data == "one 10")

    async def is_removed() -> bool:
        return first not in await platform.containers(service_id=service.id)

    await eventually(is_removed, seconds=60)
    _expect_whole(await read(), "one")
    assert await read(("grep", "one last 1999")) == ["one last 1999"]

    killed = await platform.kill("agent")
    await platform.await_back("agent", killed)
    await platform.await_ready()
    resumed: list[str] = []
    async with asyncio.timeout(60):
        async for event in api.follow_logs(service.id, after=heard[place].id):
            if event.event == "message":
                resumed.append(event.data)
            if set(resumed) >= {event.data for event in heard[place + 1 :]}:
                break
    expected = [event.data for event in heard[place + 1 :] if event.data.startswith("one ")]
    assert [text for text in resumed if text.startswith("one ")] == expected
    later = [text for text in resumed if text.startswith("two ")]
    assert later == [f"two {number}" for number in range(len(later))]

    async with session.post(f"/v1/services/{service.id}/stop") as answer:
        assert answer.status == 202, await answer.text()

    async def is_empty() -> bool:
        return not await platform.containers(service_id=service.id)

    await eventually(is_empty, seconds=60)
    for name in ("one", "two"):
        _expect_whole(await read(), name)
    url = f"http://127.0.0.1:{platform.ports.agent_loopback}/metrics"
    async with aiohttp.ClientSession() as scraper, scraper.get(url) as answer:
        told = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines() if not line.startswith("#"))
    assert float(told["moorage_agent_log_archive_files"]) >= 2
    assert float(told["moorage_agent_log_archive_bytes"]) > 0


async def test_an_agent_killed_while_a_release_ends_loses_none_of_its_last_words(platform: Platform, api: Api) -> None:
    service = await put_service(api, "cut-short")
    await _deploy(api, service, "one")
    heard: list[str] = []
    tasks = Tasks("test")

    async def follow() -> None:
        async for event in api.follow_logs(service.id, query=[("tail", "10000")]):
            heard.extend([event.data] * (event.event == "message"))

    async def replace() -> None:
        await _deploy(api, service, "two")

    tasks.start("follow", follow())
    try:
        await _wait(lambda: "one 3" in heard)
        replaced = tasks.start("replace", replace())
        await _wait(lambda: "one last 0" in heard)
        killed = await platform.kill("agent")
        await platform.await_back("agent", killed)
        await replaced
        await _wait(lambda: f"one last {_LAST - 1}" in heard and "two 3" in heard)
    finally:
        await tasks.close()

    async def is_alone() -> bool:
        return len(await platform.containers(service_id=service.id)) == 1

    await eventually(is_alone, seconds=60)
    _expect_whole(heard, "one")
    _expect_whole((await api.list_logs(service.id, [("tail", "10000")]))[0], "one")


async def _wait(holds: object) -> None:
    assert callable(holds)

    async def look() -> bool:
        return bool(holds())

    await eventually(look, seconds=60)
