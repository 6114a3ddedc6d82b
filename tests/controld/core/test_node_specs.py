"""What nodes are told follows the database at once: proofs on every node, hosts where their service runs."""

from __future__ import annotations

import dataclasses

from sqlalchemy import insert, update

from controld.core.certificate_keys import CertificateKeys
from controld.core.node_specs import NodeSpecs
from controld.core.ports import Transaction
from controld.model.hostname import Hostname, HostnameStatus
from controld.model.node import Node, NodeState
from controld.model.replica import PlacedReplica
from controld.rules.hostnames import make_hostname
from controld.store.engine import Database
from controld.store.hostnames import HostnameStore
from controld.store.node_specs import NodeSpecStore
from controld.store.nodes import NodeStore
from controld.store.projects import ProjectStore
from controld.store.replicas import ReplicaStore
from controld.store.services import ServiceStore
from controld.store.tables import deployments, replicas, services
from tests.controld.rules.test_node_spec import replica
from tests.controld.store.rows import NOW, PROJECT, SERVICE
from tests.fakes.secrets import FakeSecrets
from wire.spec import Peer, Wanted

WEB = make_hostname("web.example.com", "s1", hostname_id="h1", challenge_token="1" * 64, now=NOW)


def make_node(node_id: str, *, address: str = "192.0.2.7") -> Node:
    return Node(
        id=node_id,
        name=node_id,
        state=NodeState.READY,
        labels={},
        address=address,
        port=7190,
        certificate_serial=node_id,
        previous_serial=None,
        certificate_expires_at=NOW,
        agent_version=None,
        wire_version=None,
        created_at=NOW,
        heard_at=NOW,
        removed_at=None,
    )


def make_specs(database: Database, *, keys: CertificateKeys | None = None) -> NodeSpecs:
    return NodeSpecs(
        database=database,
        store=NodeSpecStore(),
        feed=database.feed,
        keys=keys or CertificateKeys(FakeSecrets()),
        control_domain="control.example.com",
        locate_control=lambda address: "127.0.0.1:7180" if address == "127.0.0.1" else None,
    )


async def fill(database: Database) -> None:
    """A service with a promoted deployment and one replica, on n1 of two nodes."""
    async with database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await ServiceStore().add(tx, SERVICE)
        for node_id, address in (("n1", "127.0.0.1"), ("n2", "192.0.2.7")):
            await NodeStore().add(tx, make_node(node_id, address=address))
        await tx.execute(
            insert(deployments).values(
                id="d1",
                service_id="s1",
                number=1,
                request={},
                status="Healthy",
                created_at=NOW,
                phase_at=NOW,
                attempts=0,
            )
        )
        await tx.execute(update(services).values(promoted_deployment_id="d1"))
        await _add_replica(tx, "r1", "n1")


async def _add_replica(tx: Transaction, replica_id: str, node_id: str) -> None:
    config = replica(replica_id, service="s1", deployment="d1")
    await tx.execute(
        insert(replicas).values(
            id=replica_id,
            service_id="s1",
            deployment_id="d1",
            node_id=node_id,
            index=0,
            config=config,
            wanted="running",
            created_at=NOW,
        )
    )


async def test_a_proof_is_on_every_node_until_it_was_given_and_then_where_the_service_runs(database: Database) -> None:
    await fill(database)
    specs = make_specs(database)
    stale: list[str | None] = []
    specs.on_stale(stale.append)
    assert (await specs.current("n1")).spec.challenges == (await specs.current("n2")).spec.challenges == ()
    async with database.write() as tx:
        await HostnameStore().add(tx, WEB)
    assert None in stale
    for node_id in ("n1", "n2"):
        (proof,) = (await specs.current(node_id)).spec.challenges
        assert (proof.path, proof.body, proof.host) == (
            f"/.well-known/denia-challenge/{WEB.challenge_token}",
            WEB.challenge_token,
            "web.example.com",
        )
        assert all(not route.hosts for route in (await specs.current(node_id)).spec.routes)
    async with database.write() as tx:
        await HostnameStore().update(tx, verified(WEB))
    first, second = (await specs.current("n1")).spec, (await specs.current("n2")).spec
    assert [(route.hosts, route.replicas) for route in first.routes] == [(("web.example.com",), ("r1",))]
    assert (len(first.challenges), second.challenges) == (1, ())
    async with database.write() as tx:
        await HostnameStore().delete(tx, WEB)
    assert [route.hosts for route in (await specs.current("n1")).spec.routes] == [()]
    assert (await specs.current("n1")).spec.challenges == ()


async def test_the_control_domain_leads_somewhere_only_where_controld_is_reached(database: Database) -> None:
    await fill(database)
    specs = make_specs(database)
    near, far = (await specs.current("n1")).spec, (await specs.current("n2")).spec
    assert (near.control_domain, near.control_address) == ("control.example.com", "127.0.0.1:7180")
    assert far.control_address is None


async def share(database: Database, *, label: tuple[str, str] | None = None) -> NodeSpecs:
    """A service that two nodes know of, both with an ingress that speaks with others; it runs on n1."""
    await fill(database)
    async with database.write() as tx:
        await HostnameStore().add(tx, verified(WEB))
        for node_id, port in (("n1", 7192), ("n2", 7193)):
            await NodeStore().set_agent(tx, node_id, agent_version="1", wire_version=1, peer_port=port)
    return NodeSpecs(
        database=database,
        store=NodeSpecStore(),
        feed=database.feed,
        keys=CertificateKeys(FakeSecrets()),
        leading_label=label,
    )


async def test_every_node_leads_to_a_service_wherever_it_runs(database: Database) -> None:
    specs = await share(database)
    (near,) = (await specs.current("n1")).spec.routes
    (far,) = (await specs.current("n2")).spec.routes
    assert (near.replicas, near.peers, near.shared) == (("r1",), (), True)
    assert (far.replicas, far.shared) == ((), False)
    assert far.peers == (Peer(node_id="n1", address="127.0.0.1", port=7192, weight=1),)
    assert (await specs.current("n1")).spec.peers == ("n2",)


async def test_a_replica_elsewhere_is_news_for_every_node_that_leads_there(database: Database) -> None:
    specs = await share(database)
    before = [await specs.current(node_id) for node_id in ("n1", "n2")]
    stale: list[str | None] = []
    specs.on_stale(stale.append)
    async with database.write() as tx:
        await ReplicaStore().insert(tx, [_placed("r2", "n2"), _placed("r3", "n2")])
    assert {"n1", "n2"} <= set(stale)
    assert [await specs.current(node_id) for node_id in ("n1", "n2")] != before
    (near,) = (await specs.current("n1")).spec.routes
    assert near.peers == (Peer(node_id="n2", address="192.0.2.7", port=7193, weight=2),)
    async with database.write() as tx:
        await ReplicaStore().drain(tx, [_placed("r1", "n1")], at=NOW)
    (near,) = (await specs.current("n1")).spec.routes
    assert (near.replicas, near.shared, [peer.node_id for peer in near.peers]) == ((), True, ["n2"])


async def test_a_node_that_is_lost_is_led_to_by_nobody_until_it_is_back(database: Database) -> None:
    specs = await share(database)
    await specs.current("n2")
    for before, after, led in ((NodeState.READY, NodeState.LOST, False), (NodeState.LOST, NodeState.READY, True)):
        stale: list[str | None] = []
        specs.on_stale(stale.append)
        async with database.write() as tx:
            await NodeStore().change_state(tx, "n1", before=before, after=after)
        assert specs.remembered("n2") is None
        assert bool((await specs.current("n2")).spec.routes) is led
        assert None in stale


async def test_a_change_of_a_node_that_no_other_leads_to_keeps_what_is_remembered(database: Database) -> None:
    specs = await share(database)
    await specs.current("n2")
    async with database.write() as tx:
        await NodeStore().set_labels(tx, "n1", {"disk": "ssd"})
    assert specs.remembered("n2") is None
    await specs.current("n1")
    assert specs.remembered("n2") is not None


async def test_nodes_without_the_label_lead_to_what_runs_there(database: Database) -> None:
    specs = await share(database, label=("role", "edge"))
    assert (await specs.current("n2")).spec.routes == ()
    (near,) = (await specs.current("n1")).spec.routes
    assert near.shared is False
    async with database.write() as tx:
        await NodeStore().set_labels(tx, "n2", {"role": "edge"})
    (far,) = (await specs.current("n2")).spec.routes
    assert [peer.node_id for peer in far.peers] == ["n1"]
    (near,) = (await specs.current("n1")).spec.routes
    assert (near.shared, (await specs.current("n1")).spec.peers) == (True, ("n2",))


async def test_a_node_whose_ingress_speaks_with_no_other_knows_of_its_own_replicas_alone(database: Database) -> None:
    specs = await share(database)
    async with database.write() as tx:
        await NodeStore().set_agent(tx, "n2", agent_version="1", wire_version=1, peer_port=None)
    assert (await specs.current("n2")).spec.routes == ()
    (near,) = (await specs.current("n1")).spec.routes
    assert near.shared is False


async def test_where_requests_go_is_read_alike_on_both_databases(either_database: Database) -> None:
    await fill(either_database)
    store = NodeSpecStore()
    async with either_database.write() as tx:
        await HostnameStore().add(tx, verified(WEB))
        await _add_replica(tx, "r2", "n2")
        await _add_replica(tx, "r3", "n2")
        await NodeStore().set_agent(tx, "n2", agent_version="1", wire_version=1, peer_port=7192)
        routing = await store.read_routing(tx)
        assert routing.replicas == {"s1": {"n1": 1, "n2": 2}}
        assert [(each.service_id, each.hosts) for each in routing.services] == [("s1", ("web.example.com",))]
        (member,) = await store.list_members(tx, label=("zone", "a"))
        assert (member.id, member.port, member.leads) == ("n2", 7192, False)


async def test_the_routes_of_all_nodes_name_each_service_once(either_database: Database) -> None:
    await fill(either_database)
    store = NodeSpecStore()
    async with either_database.write() as tx:
        assert await store.list_routes(tx) == []
        await HostnameStore().add(tx, verified(WEB))
        await _add_replica(tx, "r2", "n2")
        await _add_replica(tx, "r3", "n2")
        (route,) = await store.list_routes(tx)
        assert (route.service_id, route.service, route.hosts, route.tls) == ("s1", "web", ("web.example.com",), True)
        assert route.node_ids == ("n1", "n2")
        await tx.execute(update(services).values(promoted_deployment_id=None))
        assert await store.list_routes(tx) == []


def _placed(replica_id: str, node_id: str) -> PlacedReplica:
    return PlacedReplica(
        id=replica_id,
        service_id="s1",
        deployment_id="d1",
        node_id=node_id,
        index=0,
        config=replica(replica_id, service="s1", deployment="d1"),
        wanted=Wanted.RUNNING,
        created_at=NOW,
    )


def verified(hostname: Hostname) -> Hostname:
    return dataclasses.replace(hostname, status=HostnameStatus.VERIFIED, verified_at=NOW)
