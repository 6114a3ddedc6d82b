"""Certificates are got once for each host, renewed in time, and one host's trouble is no other's."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator

import pytest

from controld.core.domain_faults import IssuerLimited, IssuerRefused
from controld.model.certificate import Certificate, CertificateStatus, SecuredHost
from controld.model.node import NodeState
from controld.store.certificates import CertificateStore
from controld.store.engine import Database
from tests.controld.app import SETUP_SECRET, App, ask, bearer, service_body

_SETUP = bearer(SETUP_SECRET)
A, B = "a.example.com", "b.example.com"


@pytest.fixture
async def app(database: Database) -> AsyncIterator[App]:
    """A core that can issue, with a node that answers and two verified hosts of a service that wants TLS."""
    made = App(database, can_issue_certificates=True)
    made.hosts.issuer.now = made.clock.now
    made.fleet.put("n1")
    async with made.serve() as http:
        body = service_body(await made.add_project(), domains=[A, B], tls_enabled=True)
        _, service = await ask(http, "POST", "/v1/services", body, headers=_SETUP)
        assert service["tls_enabled"]
        _, domains = await ask(http, "GET", f"/v1/services/{service['id']}/domains", headers=_SETUP)
        for domain in domains[1:]:
            path = f"/v1/services/{service['id']}/domains/{domain['id']}/verify"
            assert (await ask(http, "POST", path, headers=_SETUP))[1]["status"] == "verified"
    yield made
    made.passwords.close()
    made.deploying.files.close()
    await made.blob_files.close()


async def renew_all(app: App) -> list[str]:
    due = await app.hosts.certificates.list_due()
    for host in due:
        assert await app.hosts.certificates.renew(host)
    return [host.hostname for host in due]


async def held(app: App, hostname: str) -> Certificate:
    async with app.database.read() as tx:
        (found,) = await CertificateStore().list(tx, only=[hostname])
    return found


async def test_each_host_gets_its_own_certificate_under_one_account(app: App) -> None:
    app.hosts.issuer.needs_proof = False
    assert await renew_all(app) == [A, B]
    assert await renew_all(app) == []
    for name in (A, B):
        certificate = await held(app, name)
        assert certificate.status(app.clock.now()) is CertificateStatus.ISSUED
        key = await app.secrets.get("platform", certificate.key_ref or "")
        assert "PRIVATE KEY" in key["key"]
    assert len(app.hosts.issuer.account_keys) == 1
    assert app.hosts.issuer.abandoned == [A, B], "an order that is over holds nothing"
    await app.clock.advance(61 * 86_400)
    app.hosts.issuer.begun.clear()
    before = await held(app, A)
    assert await renew_all(app) == [A, B]
    after = await held(app, A)
    assert after.not_after_at == (before.not_after_at or after.created_at) + dt.timedelta(days=61)
    assert len(app.hosts.issuer.account_keys) == 1
    kept = {ref for scope, ref in app.secrets.kept if scope == "platform" and ref.startswith("certificate-")}
    assert before.key_ref not in kept
    assert len(kept) == 2


async def test_the_proof_is_answered_everywhere_before_the_authority_looks_and_nowhere_after(app: App) -> None:
    app.hosts.issuer.gate.clear()
    work = asyncio.ensure_future(app.hosts.certificates.renew(SecuredHost(hostname=A, service_id=None)))
    async with app.serve() as http:
        await app.hosts.issuer.finishing.wait()
        async with http.get("/.well-known/acme-challenge/token-1", headers={"Host": "anything"}) as answer:
            assert (answer.status, await answer.text(), answer.content_type) == (200, "token-1.thumb", "text/plain")
        (proof,) = (await app.hosts.specs.current("n1")).spec.challenges
        assert (proof.path, proof.body, proof.host) == ("/.well-known/acme-challenge/token-1", "token-1.thumb", None)
        app.hosts.issuer.gate.set()
        await work
        status, fault = await ask(http, "GET", "/.well-known/acme-challenge/token-1")
        assert (status, fault["code"]) == (404, "challenge_not_found")
    assert (await app.hosts.specs.current("n1")).spec.challenges == ()


async def test_one_hosts_refusal_is_told_and_paused_and_no_others(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.hosts.issuer.finish_faults[A] = IssuerRefused("the authority could not see the proof: 404")
    with caplog.at_level(logging.WARNING):
        assert await renew_all(app) == [A, B]
    failed, good = await held(app, A), await held(app, B)
    assert failed.status(app.clock.now()) is CertificateStatus.FAILED
    assert failed.last_error == "the authority could not see the proof: 404"
    assert good.status(app.clock.now()) is CertificateStatus.ISSUED
    assert not [ref for scope, ref in app.secrets.kept if ref.startswith("certificate-") and ref != good.key_ref]
    assert await renew_all(app) == []
    tries = []
    for _ in range(3):
        again = (await held(app, A)).next_try_at
        assert again is not None
        tries.append((again - app.clock.now()).total_seconds())
        await app.clock.advance(tries[-1] - 1)
        assert await renew_all(app) == []
        await app.clock.advance(2)
        assert await renew_all(app) == [A]
    assert tries == sorted(tries)
    app.hosts.issuer.finish_faults.clear()
    await app.clock.advance(86_400)
    assert await renew_all(app) == [A]
    mended = await held(app, A)
    assert (mended.failures, mended.last_error, mended.next_try_at) == (0, None, None)


async def test_the_authoritys_own_pause_is_kept(app: App) -> None:
    app.hosts.issuer.begin_faults[A] = IssuerLimited("too many", retry_after_seconds=7200)
    await renew_all(app)
    again = (await held(app, A)).next_try_at
    assert again is not None
    assert again >= app.clock.now() + dt.timedelta(seconds=7000)
    await app.clock.advance(6900)
    assert await renew_all(app) == []


async def test_whoever_verifies_again_has_a_failed_certificate_tried_soon_but_not_sooner_than_it_may_be(
    app: App,
) -> None:
    app.hosts.issuer.finish_faults[A] = IssuerRefused("no")
    app.hosts.issuer.begin_faults[B] = IssuerLimited("too many", retry_after_seconds=3600)
    await renew_all(app)
    async with app.serve() as http:
        _, services = await ask(http, "GET", "/v1/services", headers=_SETUP)
        path = f"/v1/services/{services[0]['id']}/domains"

        async def verify_all() -> None:
            for domain in (await ask(http, "GET", path, headers=_SETUP))[1]:
                assert (await ask(http, "POST", f"{path}/{domain['id']}/verify", headers=_SETUP))[0] == 200

        for _ in range(3):
            await app.clock.advance(4 * 3600)
            await renew_all(app)
        tried = (await held(app, A)).last_try_at
        await app.clock.advance(60)
        await verify_all()
        first, second = (await held(app, A)).next_try_at, (await held(app, B)).next_try_at
    assert first == (tried or app.clock.now()) + dt.timedelta(minutes=5)
    assert second == (tried or app.clock.now()) + dt.timedelta(hours=1)


async def test_a_failed_renewal_keeps_the_certificate_that_serves(app: App) -> None:
    app.hosts.issuer.needs_proof = False
    await renew_all(app)
    before = await held(app, A)
    await app.clock.advance(70 * 86_400)
    app.hosts.issuer.begin_faults[A] = IssuerRefused("no")
    await renew_all(app)
    after = await held(app, A)
    assert (after.chain_pem, after.key_ref) == (before.chain_pem, before.key_ref)
    assert (after.failures, after.last_error) == (1, "no")
    assert await app.secrets.get("platform", after.key_ref or "")


async def test_without_a_node_the_authority_is_not_bothered(app: App) -> None:
    app.fleet.put("n1", NodeState.LOST)
    assert await renew_all(app) == app.hosts.issuer.begun == []
    app.fleet.put("n1")
    await renew_all(app)
    assert app.hosts.issuer.begun == [A, B]


async def test_two_controlds_never_order_for_one_host_at_once(app: App) -> None:
    app.hosts.issuer.needs_proof = False
    app.hosts.issuer.gate.clear()
    host = SecuredHost(hostname=A, service_id=None)
    first = asyncio.ensure_future(app.hosts.certificates.renew(host))
    await app.hosts.issuer.finishing.wait()
    assert await app.hosts.certificates.renew(host) is False
    app.hosts.issuer.gate.set()
    assert await first is True
    assert app.hosts.issuer.begun == [A]


async def test_an_order_that_is_broken_off_gives_its_lease_back(app: App) -> None:
    app.hosts.issuer.gate.clear()
    app.hosts.issuer.needs_proof = False
    host = SecuredHost(hostname=A, service_id=None)
    first = asyncio.ensure_future(app.hosts.certificates.renew(host))
    await app.hosts.issuer.finishing.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert app.hosts.issuer.abandoned == [A]
    app.hosts.issuer.gate.set()
    assert await app.hosts.certificates.renew(host) is True
    assert app.hosts.issuer.issued == [A]


async def test_a_lease_whose_controld_died_holds_the_host_for_some_minutes_only(app: App) -> None:
    now = app.clock.now()
    async with app.database.write() as tx:
        await CertificateStore().claim(tx, A, owner="dead", now=now, until=now + dt.timedelta(seconds=300))
    app.hosts.issuer.needs_proof = False
    host = SecuredHost(hostname=A, service_id=None)
    assert await app.hosts.certificates.renew(host) is False
    await app.clock.advance(301)
    assert await app.hosts.certificates.renew(host) is True


async def test_a_key_that_the_vault_lost_is_replaced_with_its_certificate(app: App) -> None:
    app.hosts.issuer.needs_proof = False
    await renew_all(app)
    before = await held(app, A)
    await app.secrets.delete("platform", before.key_ref or "")
    app.hosts.keys._known.clear()
    assert await app.hosts.keys.find(before.key_ref or "") is None
    assert await renew_all(app) == [A]
    assert (await held(app, A)).key_ref != before.key_ref


async def test_an_account_whose_key_is_lost_is_opened_anew(app: App) -> None:
    app.hosts.issuer.needs_proof = False
    await renew_all(app)
    for scope, ref in list(app.secrets.kept):
        if ref.startswith("acme-account-"):
            await app.secrets.delete(scope, ref)
    await app.clock.advance(70 * 86_400)
    await renew_all(app)
    assert len(app.hosts.issuer.account_keys) == 2


async def test_certificates_of_hosts_that_are_gone_go_when_they_are_over(app: App) -> None:
    app.hosts.issuer.needs_proof = False
    await renew_all(app)
    ref = (await held(app, A)).key_ref
    async with app.serve() as http:
        _, services = await ask(http, "GET", "/v1/services", headers=_SETUP)
        await ask(http, "DELETE", f"/v1/services/{services[0]['id']}", headers=_SETUP)
        await app.hosts.certificates.drop_useless()
        _, known = await ask(http, "GET", "/v1/certificates", headers=_SETUP)
        assert [each["hostname"] for each in known] == [A, B], "a host that comes back needs no order"
        await app.clock.advance(91 * 86_400)
        await app.hosts.certificates.drop_useless()
        assert await ask(http, "GET", "/v1/certificates", headers=_SETUP) == (200, [])
    assert ("platform", ref) not in app.secrets.kept


async def test_an_operator_sees_how_it_stands_and_never_a_key(app: App) -> None:
    app.hosts.issuer.finish_faults[B] = IssuerRefused("no")
    await renew_all(app)
    async with app.serve() as http:
        _, services = await ask(http, "GET", "/v1/services", headers=_SETUP)
        path = f"/v1/services/{services[0]['id']}/domains"
        _, domains = await ask(http, "GET", path, headers=_SETUP)
        own, first, second = (each["certificate"] for each in domains)
        assert own is None
        assert first["status"] == "issued"
        assert first["expires_at"] is not None
        assert first["last_error"] is None
        assert (second["status"], second["last_error"], second["expires_at"]) == ("failed", "no", None)
        assert second["next_try_at"] is not None
        _, known = await ask(http, "GET", "/v1/certificates", headers=_SETUP)
        assert [(each["hostname"], each["status"]) for each in known] == [(A, "issued"), (B, "failed")]
        assert "PRIVATE" not in str(domains) + str(known)


async def test_without_an_authority_tls_is_refused_at_write(database: Database) -> None:
    made = App(database)
    async with made.serve() as http:
        body = service_body(await made.add_project(), domains=[A], tls_enabled=True)
        status, fault = await ask(http, "POST", "/v1/services", body, headers=_SETUP)
        assert status == 400
        assert "ACME" in fault["error"]
    made.passwords.close()
    made.deploying.files.close()
    await made.blob_files.close()
