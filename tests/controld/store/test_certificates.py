"""Certificates and proofs in both databases: one holder at a time, and only hosts that want TLS."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt

from controld.core.certificate_keys import CertificateKeys
from controld.model.certificate import Certificate, HttpProof, SecuredHost
from controld.store.certificates import CertificateStore
from controld.store.engine import Database
from controld.store.hostnames import HostnameStore
from controld.store.projects import ProjectStore
from controld.store.services import ServiceStore
from tests.controld.core.test_node_specs import WEB, fill, make_specs, verified
from tests.controld.store.rows import HOSTNAME, NOW, PROJECT, SERVICE
from tests.fakes.secrets import FakeSecrets

MINUTE = dt.timedelta(minutes=1)
HELD = Certificate(
    hostname="web.example.com",
    created_at=NOW,
    chain_pem="chain",
    key_ref="ref",
    not_before_at=NOW,
    not_after_at=NOW + 9 * MINUTE,
    issued_at=NOW,
    failures=2,
    last_error="why",
    last_try_at=NOW,
    next_try_at=NOW + MINUTE,
    barred_until_at=NOW + 2 * MINUTE,
)


async def test_what_came_of_a_try_is_kept_by_its_holder_alone(either_database: Database) -> None:
    store = CertificateStore()
    async with either_database.write() as tx:
        claimed = await store.claim(tx, HELD.hostname, owner="a", now=NOW, until=NOW + MINUTE)
        assert claimed == Certificate(hostname=HELD.hostname, created_at=NOW)
        assert await store.claim(tx, HELD.hostname, owner="b", now=NOW, until=NOW + MINUTE) is None
        assert not await store.conclude(tx, HELD, owner="b")
        assert await store.conclude(tx, HELD, owner="a")
        assert await store.list(tx) == await store.list(tx, only=[HELD.hostname]) == [HELD]
        assert await store.list(tx, only=[]) == []
        assert await store.claim(tx, HELD.hostname, owner="b", now=NOW, until=NOW + MINUTE) == HELD
        await store.release(tx, HELD.hostname, owner="a")
        assert await store.claim(tx, HELD.hostname, owner="a", now=NOW, until=NOW + MINUTE) is None
        assert await store.claim(tx, HELD.hostname, owner="a", now=NOW + MINUTE, until=NOW + 2 * MINUTE) == HELD
        back = NOW - dt.timedelta(days=1)
        assert await store.claim(tx, HELD.hostname, owner="c", now=back, until=back + MINUTE) == HELD
        await store.drop(tx, HELD.hostname)
        assert await store.list(tx) == []


async def test_of_many_controlds_one_claims_a_host(either_database: Database) -> None:
    async def claim(owner: str) -> bool:
        async with either_database.write() as tx:
            claimed = await CertificateStore().claim(tx, "a.test", owner=owner, now=NOW, until=NOW + MINUTE)
            return claimed is not None

    assert sum(await asyncio.gather(*(claim(str(number)) for number in range(6)))) == 1


async def test_hosts_whose_service_wants_tls_are_secured_and_the_platforms_own_if_asked(
    either_database: Database,
) -> None:
    store, hosts, services = CertificateStore(), HostnameStore(), ServiceStore()
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await services.add(tx, SERVICE)
        await hosts.add(tx, dataclasses.replace(HOSTNAME, id="h0"))
        await hosts.add(tx, WEB)
        assert await store.list_secured(tx, assigned=False) == []
        await hosts.update(tx, verified(WEB))
        given = SecuredHost(hostname=WEB.hostname, service_id="s1")
        own = SecuredHost(hostname=HOSTNAME.hostname, service_id="s1")
        assert await store.list_secured(tx, assigned=False) == [given]
        assert {each.hostname for each in await store.list_secured(tx, assigned=True)} == {own.hostname, given.hostname}
        await services.update(tx, dataclasses.replace(SERVICE, tls_enabled=False))
        assert await store.list_secured(tx, assigned=False) == []
        assert await store.list_secured(tx, assigned=True) == [own]


async def test_a_proof_is_answered_until_it_is_dropped(either_database: Database) -> None:
    store = CertificateStore()
    async with either_database.write() as tx:
        for body in ("one", "two"):
            await store.add_proof(tx, "a.test", proof=HttpProof(token="t", body=body), now=NOW)
        assert await store.find_proof(tx, "t") == "two"
        await store.drop_proofs(tx, "b.test")
        assert await store.find_proof(tx, "t") == "two"
        await store.drop_proofs(tx, "a.test")
        assert await store.find_proof(tx, "t") is None


async def test_nodes_that_route_a_host_get_its_certificate_and_no_others_do(either_database: Database) -> None:
    await fill(either_database)
    vault = FakeSecrets()
    keys = CertificateKeys(vault)
    specs = make_specs(either_database, keys=keys)
    async with either_database.write() as tx:
        await HostnameStore().add(tx, verified(WEB))
        await CertificateStore().claim(tx, WEB.hostname, owner="a", now=NOW, until=NOW + MINUTE)
        await CertificateStore().conclude(tx, HELD, owner="a")
    (given,) = (await specs.current("n1")).spec.certificates
    assert (given.host, given.chain_pem, given.key_pem) == (WEB.hostname, "", ""), "the key is not to be had"
    await keys.put("ref", "key")
    (given,) = (await specs.current("n1")).spec.certificates
    assert (given.host, given.chain_pem, given.key_pem) == (WEB.hostname, "chain", "key")
    assert (await specs.current("n2")).spec.certificates == ()
    async with either_database.write() as tx:
        await ServiceStore().update(tx, dataclasses.replace(SERVICE, tls_enabled=False))
    assert (await specs.current("n1")).spec.certificates == ()
