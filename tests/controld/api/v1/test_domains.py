"""Hostnames over `/v1`: attached, verified, answered for and detached."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession

from controld.model.ownership import Proof
from controld.model.role import Role
from controld.store.engine import Database
from tests.controld.app import SETUP_SECRET, App, ask, bearer, service_body

_SETUP = bearer(SETUP_SECRET)
_NOWHERE = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"


async def _send(
    http: ClientSession, method: str, path: str, body: Any = None, *, headers: dict[str, str] = _SETUP
) -> tuple[int, Any]:
    return await ask(http, method, path, body, headers=headers)


async def _put_service(http: ClientSession, project_id: str, **changes: Any) -> str:
    status, service = await _send(http, "POST", "/v1/services", service_body(project_id, **changes))
    assert status == 200, service
    return f"/v1/services/{service['id']}"


async def _attach(http: ClientSession, service: str, hostname: str = "a.example.com") -> dict[str, Any]:
    status, domain = await _send(http, "POST", f"{service}/domains", {"hostname": hostname})
    assert status == 201, domain
    made: dict[str, Any] = domain
    return made


async def test_a_hostname_is_attached_verified_shown_and_detached(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        domain = await _attach(http, service, " a.example.com ")
        path = f"{service}/domains/{domain['id']}"
        assert domain["hostname"] == "a.example.com"
        assert domain["status"] == "pending"
        assert len(domain["challenge_token"]) == 64
        assert (domain["verified_at"], domain["last_check_at"], domain["last_error"]) == (None, None, None)
        assert await _send(http, "GET", path) == (200, domain)
        status, verified = await _send(http, "POST", f"{path}/verify")
        assert (status, verified["status"], verified["verified_at"]) == (200, "verified", "2026-01-01T00:00:00Z")
        assert app.hosts.probe.asked == [("a.example.com", f"/.well-known/denia-challenge/{domain['challenge_token']}")]
        assert await _send(http, "POST", f"{path}/verify") == (200, verified)
        assert len(app.hosts.probe.asked) == 1, "verified is final"
        assert [each["id"] for each in (await _send(http, "GET", f"{service}/domains"))[1]][1:] == [domain["id"]]
        async with http.delete(path, headers=_SETUP) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        assert (await _send(http, "GET", path))[0] == 404
        assert (await _send(http, "DELETE", path))[0] == 404


async def test_a_proof_that_fails_says_why_and_may_be_tried_again(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        domain = await _attach(http, service)
        path = f"{service}/domains/{domain['id']}/verify"
        for proof, reason in (
            (Proof(problem="dns lookup failed"), "dns lookup failed"),
            (Proof(status=404), "http 404"),
            (Proof(status=200, body=b"x"), "body mismatch"),
        ):
            app.hosts.probe.proofs["a.example.com"] = proof
            status, failed = await _send(http, "POST", path)
            assert (status, failed["status"], failed["last_error"]) == (200, "failed", reason)
            assert failed["verified_at"] is None
            assert failed["last_check_at"] == "2026-01-01T00:00:00Z"
        app.hosts.probe.proofs.clear()
        _, verified = await _send(http, "POST", path)
        assert (verified["status"], verified["last_error"]) == ("verified", None)


async def test_a_hostname_is_asked_by_one_at_a_time_whichever_controld(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        domain = await _attach(http, service)
        path = f"{service}/domains/{domain['id']}/verify"
        app.hosts.probe.gate.clear()
        first = asyncio.ensure_future(_send(http, "POST", path))
        await app.hosts.probe.begun.wait()
        status, fault = await _send(http, "POST", path)
        assert (status, fault["error"]) == (409, "domain verification already in progress")
        app.hosts.probe.gate.set()
        assert (await first)[1]["status"] == "verified"


async def test_a_check_whose_controld_died_holds_others_off_for_a_while_only(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        domain = await _attach(http, service)
        path = f"{service}/domains/{domain['id']}/verify"
        async with app.database.write() as tx:
            await app.hosts.leases.take(
                tx,
                f"domain {domain['id']}",
                owner="dead",
                now=app.clock.now(),
                until=app.clock.now() + app.clock.now().resolution * 30_000_000,
            )
        assert (await _send(http, "POST", path))[0] == 409
        await app.clock.advance(31)
        assert (await _send(http, "POST", path))[1]["status"] == "verified"


async def test_a_hostname_that_was_detached_while_it_was_asked_stays_gone(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        domain = await _attach(http, service)
        path = f"{service}/domains/{domain['id']}"
        app.hosts.probe.gate.clear()
        first = asyncio.ensure_future(_send(http, "POST", f"{path}/verify"))
        await app.hosts.probe.begun.wait()
        assert (await _send(http, "DELETE", path))[0] == 204
        app.hosts.probe.gate.set()
        assert (await first)[0] == 404
        domain = await _attach(http, service)
        assert (await _send(http, "POST", f"{service}/domains/{domain['id']}/verify"))[1]["status"] == "verified"


@pytest.mark.parametrize(
    "hostname",
    ["", "single", "A.example.com", "*.example.com", "a.example.com.", "a.example.com:80", "a b.c", "10.0.0.1", "-a.b"],
)
async def test_what_is_no_hostname_is_refused(app: App, hostname: str) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        assert (await _send(http, "POST", f"{service}/domains", {"hostname": hostname}))[0] == 400


async def test_hostnames_of_others_and_of_the_platform_are_refused(database: Database) -> None:
    app = App(database, control_domain="control.example.com")
    async with app.serve() as http:
        mine = await _put_service(http, await app.add_project())
        yours = await _put_service(http, await app.add_project("other"))
        await _attach(http, yours)
        reserved = ("control.example.com", "apps.example", "x.apps.example", "web-shop.apps.example")
        for taken in ("a.example.com", *reserved):
            status, fault = await _send(http, "POST", f"{mine}/domains", {"hostname": taken})
            assert (status, fault["code"]) == (409, "hostname_taken"), taken
    app.passwords.close()
    app.deploying.files.close()
    await app.blob_files.close()


async def test_the_platforms_own_hostname_stays(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        (own,) = (await _send(http, "GET", f"{service}/domains"))[1]
        assert await _send(http, "POST", f"{service}/domains/{own['id']}/verify") == (200, own)
        assert (await _send(http, "DELETE", f"{service}/domains/{own['id']}"))[0] == 409


async def test_a_domain_of_another_service_is_unknown_and_low_roles_only_read(app: App) -> None:
    project_id = await app.add_project()
    viewer = bearer(await app.token_of("viewer", project_id=project_id, role=Role.VIEWER))
    stranger = bearer(await app.token_of("stranger", project_id=await app.add_project("other"), role=Role.ADMIN))
    async with app.serve() as http:
        mine, yours = await _put_service(http, project_id), await _put_service(http, project_id, name="other")
        domain = await _attach(http, mine)
        own, foreign = f"{mine}/domains/{domain['id']}", f"{yours}/domains/{domain['id']}"
        for method, path in (("GET", ""), ("POST", "/verify"), ("DELETE", "")):
            assert (await _send(http, method, foreign + path))[0] == 404
            assert (await _send(http, method, f"{mine}/domains/{_NOWHERE}{path}"))[0] == 404
            assert (await _send(http, method, own + path, headers=stranger))[0] == 404
            assert (await _send(http, method, own + path, headers=viewer))[0] == (200 if method == "GET" else 403)
        body = {"hostname": "b.example.com"}
        assert (await _send(http, "POST", f"{mine}/domains", body, headers=viewer))[0] == 403
        assert (await _send(http, "POST", f"{mine}/domains", body, headers=stranger))[0] == 404
        assert (await _send(http, "GET", own))[1] == domain


async def test_detaching_takes_the_hostname_from_what_the_service_wants(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project(), domains=["a.example.com", "b.example.com"])
        (_, first, second) = (await _send(http, "GET", f"{service}/domains"))[1]
        await _send(http, "DELETE", f"{service}/domains/{first['id']}")
        _, shown = await _send(http, "GET", service)
        assert shown["domains"] == ["b.example.com"]
        assert (await _send(http, "POST", "/v1/services", shown))[0] == 200
        assert [each["id"] for each in (await _send(http, "GET", f"{service}/domains"))[1]][1:] == [second["id"]]


async def test_a_challenge_is_answered_to_its_own_host_alone(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        domain = await _attach(http, service)
        path = f"/.well-known/denia-challenge/{domain['challenge_token']}"
        for status in ("pending", "verified"):
            for host in ("a.example.com", "a.example.com:8080"):
                async with http.get(path, headers={"Host": host}) as answer:
                    assert (answer.status, await answer.text()) == (200, domain["challenge_token"]), status
                    assert answer.content_type == "text/plain"
            for host in ("b.example.com", "A.example.com", "x.a.example.com", ""):
                assert (await ask(http, "GET", path, headers={"Host": host}))[0] == 404
            unknown = "/.well-known/denia-challenge/" + "0" * 64
            _, fault = await ask(http, "GET", unknown, headers={"Host": "a.example.com"})
            assert fault["code"] == "challenge_not_found"
            await _send(http, "POST", f"{service}/domains/{domain['id']}/verify")


async def test_every_change_is_written_down(app: App) -> None:
    async with app.serve() as http:
        service = await _put_service(http, await app.add_project())
        domain = await _attach(http, service)
        app.hosts.probe.proofs["a.example.com"] = Proof(status=500)
        await _send(http, "POST", f"{service}/domains/{domain['id']}/verify")
        await _send(http, "DELETE", f"{service}/domains/{domain['id']}")
        _, told = await _send(http, "GET", "/v1/audit")
    told = told["items"] if isinstance(told, dict) else told
    mine = [each for each in told if each["action"].startswith("domain.")]
    assert [each["action"] for each in reversed(mine)] == ["domain.attach", "domain.verify", "domain.detach"]
    assert mine[1]["details"]["reason"] == "http 500"
    assert {each["details"]["hostname"] for each in mine} == {"a.example.com"}


async def test_tls_without_domains_takes_the_verified_ones_and_is_off_where_there_is_none(database: Database) -> None:
    issuing = App(database, can_issue_certificates=True)
    project_id = await issuing.add_project()
    async with issuing.serve() as http:
        service = await _put_service(http, project_id)
        secure = service_body(project_id, tls_enabled=True, domains=[])
        _, without = await _send(http, "PUT", service, secure)
        assert (without["tls_enabled"], without["domains"]) == (False, []), "the platform's own hostname does not count"
        domain = await _attach(http, service)
        await _attach(http, service, "pending.example.com")
        assert (await _send(http, "POST", f"{service}/domains/{domain['id']}/verify"))[1]["status"] == "verified"
        _, told = await _send(http, "PUT", service, secure)
        assert (told["tls_enabled"], told["domains"]) == (True, ["a.example.com"])
    issuing.passwords.close()
