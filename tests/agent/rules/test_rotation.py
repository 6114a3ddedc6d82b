"""What the ingress should serve besides replicas: the control domain, and certificates."""

from __future__ import annotations

import msgspec

from agent.model.ingress import Certificate, IngressObserved, IngressState, Process, Route, Server
from agent.rules.ingress import fresh_pool, plan_ingress
from agent.rules.rotation import plan_rotation, shows
from tests.fakes.ingress import follow
from wire.spec import Certificate as CertificateGiven
from wire.spec import NodeSpec, Peer
from wire.spec import Route as RouteWanted


def rotate(spec: NodeSpec) -> IngressState:
    return plan_rotation(spec, {}, [], None, engine_ok=True)


def test_the_control_domain_leads_to_controld_where_the_node_reaches_it() -> None:
    spec = NodeSpec(node_id="n1", control_domain="control.test", control_address="127.0.0.1:7180")
    server = Server(name="controld", address="127.0.0.1", port=7180)
    assert rotate(spec).routes == (Route(key="control", hosts=("control.test",), servers=(server,)),)
    inner = NodeSpec(node_id="n1", control_domain="control.test", control_address="[::1]:7180")
    assert rotate(inner).routes[0].servers[0].address == "::1"
    assert rotate(NodeSpec(node_id="n1", control_domain="control.test")).routes == ()


def test_the_control_domain_is_handed_over_between_nodes() -> None:
    peer = Peer(node_id="n2", address="10.0.0.2", port=7192, weight=1)
    (far,) = rotate(NodeSpec(node_id="n1", control_domain="control.test", control_peers=(peer,))).routes
    assert (far.key, far.hosts) == ("control", ("control.test",))
    assert [(server.address, server.port, server.peer is not None) for server in far.servers] == [
        ("10.0.0.2", 7192, True)
    ]
    near = NodeSpec(node_id="n2", control_domain="control.test", control_address="127.0.0.1:7180", control_shared=True)
    own, inner = rotate(near).routes
    assert (inner.hosts, inner.servers) == (("inner/control.test",), own.servers)


def test_a_route_that_sleeps_leads_to_the_waker_alone_and_to_other_nodes_once_it_is_awake() -> None:
    peer = Peer(node_id="n2", address="10.0.0.2", port=7192, weight=1)
    given = RouteWanted(
        key="svc-s1", service_id="s1", service="web", hosts=("a.test",), replicas=(), peers=(peer,), asleep=True
    )

    def list_servers(route: RouteWanted) -> list[tuple[str, str, int]]:
        spec = NodeSpec(node_id="n1", routes=(route,))
        (planned,) = plan_rotation(spec, {}, [], None, engine_ok=True, waker_port=5000).routes
        assert planned.hosts == ("a.test",)
        return [(server.name, server.address, server.port) for server in planned.servers]

    assert list_servers(given) == [("wake-s1", "127.0.0.1", 5000)]
    awake = msgspec.structs.replace(given, asleep=False)
    assert list_servers(awake) == [("n-n2", "10.0.0.2", 7192)]


def test_certificates_go_to_the_ingress_and_one_without_material_keeps_what_is_there() -> None:
    given = (CertificateGiven(host="a.test", chain_pem="chain", key_pem="key"), CertificateGiven(host="b.test"))
    wanted = rotate(NodeSpec(node_id="n1", certificates=given)).certificates
    assert wanted == (Certificate(host="a.test", pem="chainkey"), Certificate(host="b.test"))
    assert wanted[1].name == ""


def test_a_proxy_with_another_certificate_does_not_show_what_is_wanted() -> None:
    wanted = IngressState(certificates=(Certificate(host="a.test", pem="new"), Certificate(host="b.test")))
    seen = IngressObserved(
        process=Process(pid=1, started_at_seconds=1),
        backends=fresh_pool({}, 1),
        hosts={},
        certificates={Certificate(host="a.test", pem="old").name: "a.test", "any": "b.test"},
        secured=frozenset({"a.test", "b.test"}),
    )
    assert not shows(seen, wanted)
    for command in plan_ingress(wanted, seen).commands:
        seen = follow(seen, command)
    assert shows(seen, wanted)
    assert "any" in seen.certificates


def test_a_certificate_given_to_a_node_tells_nobody_its_key() -> None:
    given = CertificateGiven(host="a.test", chain_pem="chain", key_pem="secret")
    assert "secret" not in repr(NodeSpec(node_id="n1", certificates=(given,)))
