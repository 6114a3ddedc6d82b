"""Hostnames from attachment to a renewed certificate, on a whole platform with a real certificate authority."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from agent.host.haproxy.config import HaproxyPaths
from agent.host.haproxy.runtime import RuntimeSocket
from client.api import Api
from client.messages import Domain, Service
from tests.certificates import browser, fetch_certificate, shown_serial
from tests.e2e.platform import Platform, deploy_site, open_platform, pack_site, put_service, run_down, run_up
from tests.e2e.second_node import second_node
from tests.e2e.test_command import moorage
from tests.fixtures.network import find_free_port
from tests.pebble import BLOCKED, launched_names, launched_pebble
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(600)

CONTROL = "control.example.com"


@pytest.fixture(scope="module")
def platform(docker_engine: object) -> Iterator[Platform]:
    """A platform whose authority is a pebble, for which every host is this machine."""
    del docker_engine
    ports = {name: find_free_port() for name in ("http-port", "https-port", "port")}
    with (
        tempfile.TemporaryDirectory(prefix="md") as folder,
        launched_names() as dns_port,
        launched_pebble(http_port=ports["http-port"], dns_port=dns_port) as pebble,
    ):
        state = Path(folder) / "state"
        arguments = [word for name, port in ports.items() for word in (f"--{name}", str(port))]
        settings = {
            "beat_seconds": "1",
            "drain_seconds": "5",
            "acme_email": "ops@example.com",
            "acme_directory_url": pebble.directory_url,
            "acme_ca_file": str(pebble.ca_file),
            "verify_dns_servers": f"127.0.0.1:{dns_port}",
            "verify_port": str(ports["http-port"]),
            "verify_private_networks": "127.0.0.0/8",
            "control_domain": CONTROL,
            "control_tls": "true",
            "base_domain": "apps.example.com",
            "base_domain_tls": "true",
        }
        try:
            yield open_platform(state, run_up(state, "--no-example", *arguments, **settings))
        finally:
            for log in (*sorted((state / "logs").glob("*.log")), pebble.log):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")
            run_down(state, "--purge")


async def find_domain(api: Api, service: Service, hostname: str) -> Domain:
    (found,) = [each for each in await api.list_domains(service.id) if each.hostname == hostname]
    return found


async def verify(api: Api, service: Service, hostname: str) -> Domain:
    return await api.verify_domain(service.id, (await find_domain(api, service, hostname)).id)


async def await_certificate(api: Api, service: Service, hostname: str, *, status: str = "issued") -> Domain:
    async def has_it() -> bool:
        certificate = (await find_domain(api, service, hostname)).certificate
        return certificate is not None and certificate.status == status

    await eventually(has_it, seconds=90)
    return await find_domain(api, service, hostname)


async def await_shown(port: int, hostname: str, *, but: int | None = None) -> x509.Certificate:
    """The certificate that is shown for a host, once there is one with another serial."""
    found: list[x509.Certificate] = []

    async def is_shown() -> bool:
        shown = None
        with contextlib.suppress(ConnectionError):
            shown = await fetch_certificate(port, hostname)
        if shown is not None and shown.serial_number != but:
            found.append(shown)
        return bool(found)

    await eventually(is_shown, seconds=60)
    return found[0]


async def find_worker(platform: Platform) -> str:
    """The process that serves, and when it started."""
    paths = HaproxyPaths(state=platform.places.state / "haproxy", run=platform.places.run)
    (info,) = await RuntimeSocket(paths.admin_socket, master=paths.master_socket).ask(["show info"])
    return "".join(line for line in info.splitlines(keepends=True) if line.startswith(("Pid", "Start_time")))


async def deploy(api: Api, name: str, *hosts: str, tls: bool = True) -> Service:
    service = await put_service(api, name, domains=list(hosts), tls_enabled=tls)
    deployed = await deploy_site(api, service, await pack_site(name))
    assert deployed.status == "Healthy", deployed.reason
    return service


def age(platform: Platform, hostname: str) -> None:
    """Have controld's certificate of the host be near its end, as months do."""
    now = dt.datetime.now(dt.UTC)
    life = [int((now + dt.timedelta(days=days)).timestamp() * 1_000_000) for days in (-89, 1)]
    with contextlib.closing(sqlite3.connect(platform.places.controld / "controld.db", timeout=20)) as database:
        database.execute(
            "UPDATE certificates SET not_before_at = ?, not_after_at = ? WHERE hostname = ?", (*life, hostname)
        )
        database.commit()


async def test_a_hostname_is_proved_secured_and_renewed_while_a_stream_stays_open(platform: Platform, api: Api) -> None:
    host, https = "a.example.com", platform.ports.https
    service = await deploy(api, "secured", host)
    async with browser() as session:
        async with session.get(platform.ingress_url, headers={"Host": host}) as answer:
            assert answer.status == 404, "nobody has shown yet that it belongs here"
        worker = await find_worker(platform)
        assert (await verify(api, service, host)).status == "verified"
        domain = await await_certificate(api, service, host)
        assert domain.certificate is not None
        assert domain.certificate.expires_at is not None
        first = await await_shown(https, host)
        assert "Pebble" in first.issuer.rfc4514_string()
        async with session.get(f"https://{host}:{https}/") as answer:
            assert (answer.status, await answer.text()) == (200, "secured")
        url = f"{platform.ingress_url}/a/b?c=d&e=%26f"
        async with session.get(url, headers={"Host": host}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, f"https://{host}/a/b?c=d&e=%26f")
        assert await shown_serial(https, "nobody.example.com") is None
        async with session.get(f"https://{host}:{https}/cgi-bin/ticks") as stream:
            assert (await stream.content.readline()).startswith(b"data: ")
            await asyncio.to_thread(age, platform, host)
            await put_service(api, "secured", domains=[host], tls_enabled=True)
            second = await await_shown(https, host, but=first.serial_number)
            for _ in range(4):
                assert (await stream.content.readline()).startswith((b"data: ", b"\n"))
        assert second.not_valid_before_utc >= first.not_valid_before_utc
    assert await find_worker(platform) == worker, "no reload from the first certificate to its renewal"
    await _check_that_keys_stay_where_they_belong(platform)


async def test_the_hostname_that_the_platform_gave_is_secured_where_that_is_set(platform: Platform, api: Api) -> None:
    service = await deploy(api, "own")
    host = (await api.get_service(service.id))["assigned_hostname"]
    assert host.endswith(".apps.example.com")
    await await_shown(platform.ports.https, host)
    async with browser() as session, session.get(f"https://{host}:{platform.ports.https}/") as answer:
        assert (answer.status, await answer.text()) == (200, "own")


async def _check_that_keys_stay_where_they_belong(platform: Platform) -> None:
    state = platform.places.state

    def look() -> list[str]:
        wrong = []
        for path in state.rglob("*"):
            if not path.is_file() or path.stat().st_size > 50_000_000 or b"PRIVATE KEY" not in path.read_bytes():
                continue
            if path.stat().st_mode & 0o077:
                wrong.append(f"{path.relative_to(state)} can be read by others")
            if path.suffix in {".db", ".log", ".cfg", ".map", ".list"} or "secrets" in path.parts:
                wrong.append(f"{path.relative_to(state)} holds a key in clear")
        return wrong

    assert await asyncio.to_thread(look) == []


async def test_a_host_that_the_authority_refuses_is_told_and_harms_no_other(platform: Platform, api: Api) -> None:
    good, https = "good.example.com", platform.ports.https
    service = await deploy(api, "mixed", good, BLOCKED)
    for host in (BLOCKED, good):
        assert (await verify(api, service, host)).status == "verified"
    refused = await await_certificate(api, service, BLOCKED, status="failed")
    assert refused.certificate is not None
    assert "the authority says" in (refused.certificate.last_error or "")
    assert refused.certificate.next_try_at is not None
    assert refused.certificate.next_try_at > dt.datetime.now(dt.UTC) + dt.timedelta(minutes=3)
    await await_certificate(api, service, good)
    await await_shown(https, good)
    assert await shown_serial(https, BLOCKED) is None
    async with browser() as session:
        async with session.get(platform.ingress_url, headers={"Host": BLOCKED}) as answer:
            assert (answer.status, await answer.text()) == (200, "mixed")
        async with session.get(f"https://{good}:{https}/") as answer:
            assert await answer.text() == "mixed"


async def test_a_hostname_that_leads_elsewhere_is_not_verified_and_one_that_is_detached_routes_no_more(
    platform: Platform, api: Api, tmp_path: Path
) -> None:
    host, config = "plain.example.com", tmp_path / "login.json"
    service = await deploy(api, "plain", tls=False)
    await moorage(config, "login", platform.api_url, "--with-token", given=f"{platform.token}\n")
    added = await moorage(config, "domains", "add", "plain", host)
    assert added.returncode == 0, added.stdout + added.stderr
    assert added.stdout.startswith(f"{host}\tverified\t-")
    async with browser() as session:

        async def answers() -> int:
            async with session.get(platform.ingress_url, headers={"Host": host}) as answer:
                return answer.status

        async def is_routed() -> bool:
            return await answers() == 200

        async def is_gone() -> bool:
            return await answers() == 404

        await eventually(is_routed, seconds=20)
        listed = await moorage(config, "domains", "list", "plain")
        assert f"{host}\tverified" in listed.stdout
        assert (await moorage(config, "domains", "verify", "plain", host)).returncode == 0
        removed = await moorage(config, "domains", "remove", "plain", host)
        assert removed.returncode == 0, removed.stderr
        await eventually(is_gone, seconds=20)
    assert (await moorage(config, "domains", "verify", "plain", host)).returncode == 1
    assert [each.hostname for each in await api.list_domains(service.id)] == ["plain-default.apps.example.com"]
    taken = await moorage(config, "domains", "add", "plain", CONTROL)
    assert "belongs to the platform" in taken.stderr


async def test_the_control_domain_leads_to_controld_over_tls(platform: Platform, api: Api) -> None:
    https = platform.ports.https
    await await_shown(https, CONTROL)
    assert CONTROL in [each.hostname for each in await api.list_certificates() if each.status == "issued"]
    signed_in = {"Authorization": f"Bearer {platform.token}"}
    async with browser() as session:
        async with session.get(f"https://{CONTROL}:{https}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok", "ok": True})
        async with session.get(f"https://{CONTROL}:{https}/v2/", headers=signed_in) as answer:
            assert answer.status == 200
        url = f"{platform.ingress_url}/v1/services?x=y"
        async with session.get(url, headers={"Host": CONTROL}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, f"https://{CONTROL}/v1/services?x=y")
        service = await deploy(api, "watched", tls=False)
        url = f"https://{CONTROL}:{https}/v1/services/{service.id}/logs/stream"
        async with session.get(url, headers=signed_in) as stream:
            assert stream.content_type == "text/event-stream"
            assert await stream.content.readline()
        async with session.get(f"https://{CONTROL}:{https}/v1/ingress/routes", headers=signed_in) as answer:
            routes = {route["service_name"]: route for route in await answer.json()}
    assert routes["watched"]["route_key"] == f"svc-{service.id}"
    assert routes["watched"]["domains"] == ["watched-default.apps.example.com"]
    assert platform.node_id in routes["watched"]["node_ids"]


async def test_certificates_outlive_the_proxy_the_agent_and_a_socket_deleted_by_hand(
    platform: Platform, api: Api
) -> None:
    host, https = "tough.example.com", platform.ports.https
    service = await deploy(api, "tough", host)
    await verify(api, service, host)
    await await_certificate(api, service, host)
    shown = await await_shown(https, host)
    agent = await platform.kill("agent")
    proxy = await platform.kill("haproxy")
    await platform.await_back("haproxy", proxy)
    again = await await_shown(https, host)
    assert again.serial_number == shown.serial_number
    await platform.await_back("agent", agent)
    await asyncio.to_thread((platform.places.run / "admin.sock").unlink)
    later = "later.example.com"
    service = await put_service(api, "tough", domains=[host, later], tls_enabled=True)
    assert (await verify(api, service, later)).status == "verified"
    await await_certificate(api, service, later)
    await await_shown(https, later)
    assert await shown_serial(https, host) == shown.serial_number


async def test_every_node_answers_proofs_and_has_the_certificate_of_what_it_leads_to(
    platform: Platform, api: Api
) -> None:
    host, waiting = "spread.example.com", "waiting.example.com"
    service = await deploy(api, "spread", host)
    pending = await api.attach_domain(service.id, waiting)
    with tempfile.TemporaryDirectory(prefix="m2") as folder:
        async with second_node(platform, Path(folder)) as second, browser() as session:
            for url in (platform.ingress_url, second.ingress_url, platform.api_url):
                path = f"{url}/.well-known/denia-challenge/{pending.challenge_token}"

                async def answers(path: str = path) -> bool:
                    async with session.get(path, headers={"Host": waiting}) as answer:
                        return answer.status == 200 and await answer.text() == pending.challenge_token

                await eventually(answers, seconds=30)
                async with session.get(path, headers={"Host": host}) as answer:
                    assert answer.status == 404
            assert (await verify(api, service, host)).status == "verified"
            await await_certificate(api, service, host)
            here = await await_shown(platform.ports.https, host)
            there = await await_shown(second.https_port, host)
            assert here.serial_number == there.serial_number, "one order for all nodes"
            async with session.get(f"https://{host}:{second.https_port}/") as answer:
                assert await answer.text() == "spread"
            async with session.get(f"https://{CONTROL}:{second.https_port}/healthz") as answer:
                assert answer.status == 200
