"""Nodes hand requests over to each other by certificate, and lose none when the other has nobody to answer."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from agent.core.faults import IdentityUnreadable
from agent.host.haproxy.access_log import AccessLogReader
from agent.host.haproxy.config import HaproxyPaths
from agent.host.haproxy.identity import find_identity, write_identity
from agent.model.identity import Identity
from agent.model.ingress import IngressState, Route, Server, ServerState
from agent.model.requests import AccessEntry
from kit import tls
from kit.clock import SystemClock
from tests.haproxy import RunningHaproxy, Upstream, get, running_haproxy, upstreams, who
from tests.waiting import eventually
from wire.identity import node_host, node_uri

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
AUTHORITY_KEY = tls.make_key()
AUTHORITY = tls.make_authority(AUTHORITY_KEY, common_name="test", now=NOW, lifetime=DAY)


def make_identity(node_id: str, *, authority: str = AUTHORITY, authority_key: str = AUTHORITY_KEY) -> Identity:
    """A node's identity as the authority gives it."""
    key = tls.make_key()
    certificate = tls.sign_certificate(
        tls.make_signing_request(key, common_name="any"),
        tls.Names(common_name=f"node {node_id}", uri=node_uri(node_id), hosts=(node_host(node_id),)),
        authority_pem=authority,
        authority_key_pem=authority_key,
        now=NOW,
        lifetime=DAY,
    )
    return Identity(
        node_id=node_id,
        name=node_id,
        control_url="https://127.0.0.1:7181",
        authority_pem=AUTHORITY,
        certificate_pem=certificate,
        key_pem=key,
        serial="aa",
        not_after_at=NOW + DAY,
        renew_at=NOW + DAY,
    )


@pytest.fixture
async def near() -> AsyncIterator[RunningHaproxy]:
    async with running_haproxy(identity=make_identity("a")) as running:
        yield running


@pytest.fixture
async def far() -> AsyncIterator[RunningHaproxy]:
    async with running_haproxy(identity=make_identity("b")) as running:
        yield running


def leads_to(other: RunningHaproxy, node_id: str, *, weight: int = 1) -> Server:
    return Server(
        name=f"n-{node_id}", address="127.0.0.1", port=other.peer_port, weight=weight, peer=node_host(node_id)
    )


def state(*servers: Server, inner: tuple[Server, ...] = (), peers: tuple[str, ...] = ("a", "b")) -> IngressState:
    """One service: what clients ask for, and what other nodes hand over."""
    return IngressState(
        routes=(
            Route(key="svc-1", hosts=("a.test",), servers=servers),
            Route(key="svc-1.inner", hosts=("inner/a.test",), servers=inner),
        ),
        peers=peers,
    )


@contextlib.asynccontextmanager
async def logged(haproxy: RunningHaproxy) -> AsyncIterator[list[AccessEntry]]:
    entries: list[AccessEntry] = []
    reader = AccessLogReader(haproxy.paths.access_log_socket, entries.append, clock=SystemClock())
    await reader.open()
    try:
        yield entries
    finally:
        await reader.close()


async def test_a_request_reaches_a_replica_of_another_node_as_it_came(
    near: RunningHaproxy, far: RunningHaproxy, pair: list[Upstream]
) -> None:
    await near.driver().apply(state(leads_to(far, "b")))
    await far.driver().apply(state(pair[0].server(), inner=(pair[0].server(),)))
    async with logged(near) as near_entries, logged(far) as far_entries:
        forged = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https"}
        status, body, _ = await get(near, "A.test", "/path?x=1", headers=forged)
        assert status == 200
        headers = json.loads(body)["headers"]
        assert headers["x-forwarded-for"] == ["127.0.0.1"]
        assert headers["x-forwarded-proto"] == ["http"]
        assert headers["host"] == ["A.test"]

        async def told() -> bool:
            return bool(far_entries)

        await eventually(told)
    (entry,) = far_entries
    assert (entry.route, entry.host, entry.path, entry.replica) == ("svc-1", "a.test", "/path", "r1")
    assert near_entries == []


async def test_a_websocket_goes_through_both_nodes(
    near: RunningHaproxy, far: RunningHaproxy, pair: list[Upstream]
) -> None:
    await near.driver().apply(state(leads_to(far, "b")))
    await far.driver().apply(state(inner=(pair[0].server(),)))
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(near.url + "/ws", headers={"Host": "a.test"}) as channel,
    ):
        await channel.send_str("hello")
        assert await channel.receive_str() == "r1:hello"
        assert await far.driver().sessions(["r1"]) == {"r1": 1}


async def test_each_replica_has_its_share_wherever_it_runs_and_the_share_changes_at_run_time(
    near: RunningHaproxy, far: RunningHaproxy
) -> None:
    async with upstreams("r1", "r2", "r3", "r4") as (one, two, three, four):
        there = (two.server(), three.server(), four.server())
        await far.driver().apply(state(inner=there))
        await near.driver().apply(state(one.server(), leads_to(far, "b", weight=3)))
        seen = Counter([await who(near, "a.test") for _ in range(40)])
        assert seen == {"r1": 10, "r2": 10, "r3": 10, "r4": 10}
        result = await near.driver().apply(state(one.server(), leads_to(far, "b", weight=1)))
        assert (result.commands, result.failed) == (1, ())
        assert Counter([await who(near, "a.test") for _ in range(20)])["r1"] == 10
        await near.kill()
        await near.start()
        assert {await who(near, "a.test") for _ in range(8)} == {"r1", "r2", "r3", "r4"}


async def test_what_is_handed_over_never_goes_on_to_a_third_node(
    near: RunningHaproxy, far: RunningHaproxy, pair: list[Upstream]
) -> None:
    await near.driver().apply(state(leads_to(far, "b"), inner=()))
    await far.driver().apply(state(pair[1].server(), leads_to(near, "a"), inner=()))
    assert await who(near, "a.test") == "425"


async def test_a_node_without_a_replica_that_can_answer_costs_no_request(
    near: RunningHaproxy, far: RunningHaproxy, pair: list[Upstream]
) -> None:
    one, two = pair
    await near.driver().apply(state(one.server(), leads_to(far, "b")))
    await far.driver().apply(state(inner=(two.server(),)))
    async with aiohttp.ClientSession() as session:

        async def post() -> tuple[int, str]:
            async with session.post(near.url, headers={"Host": "a.test"}, data=b"x" * 1000) as answer:
                return answer.status, (await answer.json())["name"]

        assert {await post() for _ in range(8)} == {(200, "r1"), (200, "r2")}
        await far.driver().apply(state(inner=(replace(two.server(), state=ServerState.MAINT),)))
        assert {await post() for _ in range(8)} == {(200, "r1")}
        await far.driver().apply(state(inner=()))
        assert {await post() for _ in range(8)} == {(200, "r1")}
        await far.kill()
        assert {await post() for _ in range(8)} == {(200, "r1")}


async def test_only_nodes_of_the_fleet_hand_requests_over(
    near: RunningHaproxy, far: RunningHaproxy, pair: list[Upstream], tmp_path: Path
) -> None:
    await near.driver().apply(state(leads_to(far, "b")))
    await far.driver().apply(state(inner=(pair[0].server(),)))
    assert await who(near, "a.test") == "r1"
    await far.driver().apply(state(inner=(pair[0].server(),), peers=("b",)))
    assert await who(near, "a.test") == "403"
    key = tls.make_key()
    stranger = make_identity(
        "a",
        authority=tls.make_authority(key, common_name="other", now=NOW, lifetime=DAY),
        authority_key=key,
    )
    for identity in (None, stranger):
        context = ssl.create_default_context(cadata=AUTHORITY)
        context.check_hostname = False
        if identity is not None:
            pem = tmp_path / "stranger.pem"
            await asyncio.to_thread(pem.write_text, identity.certificate_pem + identity.key_pem)
            context.load_cert_chain(pem)
        async with aiohttp.ClientSession() as session:
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await session.get(f"https://127.0.0.1:{far.peer_port}/", headers={"Host": "a.test"}, ssl=context)


async def test_a_node_that_is_not_the_one_meant_gets_nothing(
    near: RunningHaproxy, far: RunningHaproxy, pair: list[Upstream]
) -> None:
    mistaken = replace(leads_to(far, "c"), name="n-c")
    await near.driver().apply(state(mistaken))
    await far.driver().apply(state(inner=(pair[0].server(),)))
    assert await who(near, "a.test") == "503"
    assert pair[0].requests == 0


async def test_another_certificate_is_taken_up_by_a_reload_that_loses_nothing(
    near: RunningHaproxy, far: RunningHaproxy, pair: list[Upstream]
) -> None:
    await near.driver().apply(state(leads_to(far, "b")))
    await far.driver().apply(state(inner=(pair[0].server(),)))
    before = (await near.driver().observe()).process
    identity = make_identity("a")
    await near.driver().prepare(identity)
    after = (await near.driver().observe()).process
    assert after != before
    await near.driver().prepare(identity)
    assert (await near.driver().observe()).process == after
    assert await who(near, "a.test") == "r1"


async def test_without_an_identity_other_nodes_are_left_out(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    driver = haproxy.driver()
    result = await driver.apply(state(pair[0].server(), leads_to(haproxy, "b"), inner=(pair[0].server(),)))
    assert result.failed == ()
    assert await who(haproxy, "a.test") == "r1"
    await driver.prepare(make_identity("a"))
    result = await driver.apply(state(pair[0].server(), inner=(pair[0].server(),)))
    assert result.failed == ()
    assert (await driver.observe()).peers == {"a", "b"}


def test_an_identity_is_kept_for_its_owner_alone_and_a_broken_one_is_not(tmp_path: Path) -> None:
    paths = HaproxyPaths(state=tmp_path / "state", run=tmp_path / "run")
    assert find_identity(paths) is None
    write_identity(paths, make_identity("a"))
    first = find_identity(paths)
    assert first is not None
    assert oct(paths.pair.stat().st_mode)[-3:] == "600"
    write_identity(paths, make_identity("a"))
    assert find_identity(paths) not in {None, first}
    other = replace(make_identity("a"), key_pem=tls.make_key())
    with pytest.raises(IdentityUnreadable):
        write_identity(paths, other)
    assert find_identity(paths) is None
