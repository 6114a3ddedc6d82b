"""Certificates on a real HAProxy: they come, change and go without a reload, and a bad one harms its own host alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import re
from pathlib import Path

import aiohttp
import pytest

from agent.core.faults import IngressUnavailable
from agent.host.haproxy.certificates import CertificateFiles, normalise_pem, parse_crt_list, render_crt_list
from agent.model.ingress import Certificate, IngressState, Route
from tests.certificates import Pair, browser, make_pair, shown_serial
from tests.haproxy import RunningHaproxy, Upstream, get, running_haproxy, upstreams, who
from tests.waiting import eventually


def secure(one: Upstream, certificates: dict[str, Pair | str | None], *plain: str) -> IngressState:
    """Every host leads to the one server; a pair is a host's certificate, None keeps what is there."""
    pems = {host: pair.pem if isinstance(pair, Pair) else pair or "" for host, pair in certificates.items()}
    return IngressState(
        routes=(Route(key="svc-1", hosts=(*certificates, *plain), servers=(one.server(),)),),
        certificates=tuple(Certificate(host=host, pem=pem) for host, pem in pems.items()),
    )


async def ask(haproxy: RunningHaproxy, host: str, path: str = "/") -> tuple[int, str, aiohttp.HttpVersion]:
    """One HTTPS request whatever the certificate: status, body and version."""
    async with browser() as session:
        async with session.get(f"https://{host}:{haproxy.https_port}{path}") as answer:
            assert answer.version is not None
            return answer.status, await answer.text(), answer.version


async def test_the_first_certificate_comes_without_a_reload_and_unknown_names_are_refused(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    one, good = pair[0], make_pair("a.test")
    await driver.apply(secure(one, {}, "a.test", "b.test"))
    assert await shown_serial(haproxy.https_port, "a.test") is None
    before = (await driver.observe()).process
    result = await driver.apply(secure(one, {"a.test": good}, "b.test"))
    assert (result.failed, result.refused, result.reloaded) == ((), (), False)
    assert await shown_serial(haproxy.https_port, "a.test") == good.serial
    status, body, _ = await ask(haproxy, "a.test")
    assert (status, json.loads(body)["headers"]["x-forwarded-proto"]) == (200, ["https"])
    for unknown in ("b.test", "sub.a.test", None):
        assert await shown_serial(haproxy.https_port, unknown) is None
    observed = await driver.observe()
    assert observed.process == before
    assert list(observed.certificates.values()) == ["a.test"]
    assert (await driver.apply(secure(one, {"a.test": good}, "b.test"))).commands == 0


async def test_a_certificate_is_renewed_and_dropped_while_a_connection_stays_open(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver, one = haproxy.driver(), pair[0]
    old, new, other = make_pair("a.test"), make_pair("a.test"), make_pair("b.test")
    await driver.apply(secure(one, {"a.test": old, "b.test": other}))
    before = (await driver.observe()).process
    async with browser() as session:
        async with session.ws_connect(f"wss://a.test:{haproxy.https_port}/ws") as channel:
            await channel.send_str("one")
            assert await channel.receive_str() == "r1:one"
            result = await driver.apply(secure(one, {"a.test": new, "b.test": other}))
            assert result.failed == ()
            assert await shown_serial(haproxy.https_port, "a.test") == new.serial
            await driver.apply(secure(one, {"b.test": other}, "a.test"))
            assert await shown_serial(haproxy.https_port, "a.test") is None
            assert await shown_serial(haproxy.https_port, "b.test") == other.serial
            await channel.send_str("two")
            assert await channel.receive_str() == "r1:two"
    assert (await driver.observe()).process == before
    assert len(list(haproxy.paths.certificates.glob("*.pem"))) == 1


async def test_no_handshake_fails_while_a_certificate_is_replaced(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver = haproxy.driver()
    pairs = [make_pair("a.test") for _ in range(6)]
    await driver.apply(secure(pair[0], {"a.test": pairs[0]}))
    shown: list[int | None] = []
    stop = asyncio.Event()

    async def shake() -> None:
        while not stop.is_set():
            shown.append(await shown_serial(haproxy.https_port, "a.test"))

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(shake())
        for each in pairs[1:]:
            assert (await driver.apply(secure(pair[0], {"a.test": each}))).failed == ()
            await eventually(functools.partial(_has, shown, len(shown) + 12))
        stop.set()
    assert set(shown) <= {each.serial for each in pairs}
    assert shown[-1] == pairs[-1].serial


async def _has(shown: list[int | None], count: int) -> bool:
    return len(shown) >= count


async def test_bad_certificates_harm_no_other_host_and_are_told(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    driver, one = haproxy.driver(), pair[0]
    good, stranger = make_pair("good.test"), make_pair("elsewhere.test")
    expired = make_pair("old.test", start=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), days=1)
    mixed = make_pair("mixed.test").chain_pem + make_pair("mixed.test").key_pem
    wanted = secure(
        one,
        {
            "broken.test": "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n",
            "text.test": "nonsense",
            "mixed.test": mixed,
            "wrong.test": stranger,
            "old.test": expired,
            "good.test": good,
        },
    )
    result = await driver.apply(wanted)
    assert result.failed == ()
    assert [re.split("by|:", sentence)[0].strip() for sentence in result.refused] == [
        "cannot serve broken.test",
        "cannot serve text.test",
        "cannot serve mixed.test",
    ]
    assert "the key is not the certificate's" in result.refused[2]
    assert await shown_serial(haproxy.https_port, "good.test") == good.serial
    assert await shown_serial(haproxy.https_port, "old.test") == expired.serial
    assert await shown_serial(haproxy.https_port, "wrong.test") == stranger.serial
    for bad in ("broken.test", "text.test", "mixed.test", "elsewhere.test"):
        assert await shown_serial(haproxy.https_port, bad) is None
        if bad != "elsewhere.test":
            assert await who(haproxy, bad) == "r1", "without TLS it is served as before"
    await haproxy.kill()
    await haproxy.start()
    assert await shown_serial(haproxy.https_port, "good.test") == good.serial
    assert (await driver.apply(wanted)).commands == 0


async def test_a_bad_successor_leaves_the_certificate_that_serves(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver, old = haproxy.driver(), make_pair("a.test")
    await driver.apply(secure(pair[0], {"a.test": old}))
    bad = old.chain_pem + make_pair("a.test").key_pem
    assert len((await driver.apply(secure(pair[0], {"a.test": bad}))).refused) == 1
    for driver_anew in (driver, haproxy.driver()):
        assert (await driver_anew.apply(secure(pair[0], {"a.test": None}))).commands == 0
    assert await shown_serial(haproxy.https_port, "a.test") == old.serial
    await haproxy.kill()
    with pytest.raises(IngressUnavailable):
        await driver.apply(secure(pair[0], {"a.test": bad}, "b.test"))
    await haproxy.start()
    assert await shown_serial(haproxy.https_port, "a.test") == old.serial


async def test_plain_http_is_sent_to_https_with_path_and_query_but_never_for_a_challenge() -> None:
    async with upstreams("agent", "r1") as (agent, one), running_haproxy(agent_port=agent.port) as haproxy:
        await haproxy.driver().apply(secure(one, {"a.test": make_pair("a.test")}, "b.test"))
        async with aiohttp.ClientSession() as session:
            for method in ("GET", "POST"):
                async with session.request(
                    method,
                    f"{haproxy.url}/x/y?q=1&z=%2520&e=",
                    headers={"Host": f"A.test:{haproxy.port}"},
                    allow_redirects=False,
                ) as answer:
                    assert answer.status == 308
                    assert answer.headers["Location"] == "https://a.test/x/y?q=1&z=%2520&e="
        assert await who(haproxy, "b.test") == "r1"
        for kind in ("acme", "denia"):
            _, body, _ = await get(haproxy, "a.test", f"/.well-known/{kind}-challenge/token")
            assert json.loads(body)["name"] == "agent"
            assert json.loads((await ask(haproxy, "a.test", f"/.well-known/{kind}-challenge/token"))[1])["name"] == "r1"


async def test_certificates_survive_haproxy_and_the_agent(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    good = make_pair("a.test")
    await haproxy.driver().apply(secure(pair[0], {"a.test": good}))
    await haproxy.kill()
    await haproxy.start()
    assert await shown_serial(haproxy.https_port, "a.test") == good.serial
    assert (await haproxy.driver().apply(secure(pair[0], {"a.test": good}))).commands == 0


async def test_http_2_is_offered_and_spoken(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    await haproxy.driver().apply(secure(pair[0], {"a.test": make_pair("a.test")}))
    where = f"a.test:{haproxy.https_port}"
    curl = await asyncio.create_subprocess_exec(
        "curl", "-sk", "--http2", "--resolve", f"{where}:127.0.0.1", "-w", "\n%{http_version}", f"https://{where}/",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await curl.communicate()
    body, _, version = output.decode().rpartition("\n")
    assert version == "2"
    assert json.loads(body)["name"] == "r1"
    assert (await ask(haproxy, "a.test"))[2] == aiohttp.HttpVersion11


async def test_what_others_did_to_certificates_by_hand_is_put_right(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    driver, good = haproxy.driver(), make_pair("a.test")
    wanted = secure(pair[0], {"a.test": good})
    await driver.apply(wanted)
    (file,) = haproxy.paths.certificates.glob("*.pem")
    await driver._runtime.ask(
        [f"del ssl crt-list {haproxy.paths.crt_list} {file}", f"add map {haproxy.paths.secured} b.test yes"]
    )
    assert await shown_serial(haproxy.https_port, "a.test") is None
    assert (await driver.apply(wanted)).failed == ()
    assert await shown_serial(haproxy.https_port, "a.test") == good.serial
    assert (await driver.observe()).secured == {"a.test"}


async def test_a_deleted_admin_socket_is_gone_around(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    driver, good = haproxy.driver(), make_pair("a.test")
    await driver.apply(secure(pair[0], {}, "b.test"))
    before = (await driver.observe()).process
    haproxy.paths.admin_socket.unlink()
    result = await driver.apply(secure(pair[0], {"a.test": good}, "b.test"))
    assert result.failed == ()
    assert await shown_serial(haproxy.https_port, "a.test") == good.serial
    assert await who(haproxy, "b.test") == "r1"
    assert (await driver.observe()).process == before
    assert await driver.sessions(["r1"]) == {"r1": 0}


async def test_without_a_port_for_https_the_hosts_stay_on_http_and_that_is_told(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    haproxy.settings = type(haproxy.settings)(http_bind=haproxy.settings.http_bind, https_bind=None)
    driver = haproxy.driver()
    await driver.prepare()
    result = await driver.apply(secure(pair[0], {"a.test": make_pair("a.test")}))
    assert (len(result.refused), result.failed) == (1, ())
    assert await who(haproxy, "a.test") == "r1"


def test_certificate_files_are_for_root_alone_and_unused_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    files = CertificateFiles(folder)
    pems = [make_pair("a.test").pem, make_pair("b.test").pem]
    state = IngressState(certificates=tuple(Certificate(host=f"{n}.test", pem=pem) for n, pem in enumerate(pems)))
    accepted, refused = files.accept(state)
    assert (accepted, refused) == (state, ())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    kept = state.certificates[0].name
    files.drop_others({kept})
    assert [path.name for path in folder.iterdir()] == [f"{kept}.pem"]


def test_pem_keeps_its_blocks_and_nothing_else() -> None:
    pair = make_pair("a.test")
    noisy = f"subject: a.test\n\n{pair.chain_pem}\r\n\nissuer; quit\n{pair.key_pem}\n"
    assert normalise_pem(noisy) == pair.pem
    with pytest.raises(ValueError, match="not PEM"):
        normalise_pem("add map x y z\n")


def test_a_certificate_tells_nobody_its_key() -> None:
    pem = make_pair("a.test").pem
    assert "PRIVATE" not in repr(IngressState(certificates=(Certificate(host="a.test", pem=pem),)))


def test_the_list_of_certificates_is_read_as_it_is_written() -> None:
    hosts = {"aa": "a.test", "bb": "b.test"}
    assert parse_crt_list(render_crt_list(Path("/x/certificates"), hosts.items())) == hosts
    assert parse_crt_list("# /x/list\n\nNo such file or directory\n") == {}
