"""Plans of the ingress: they reach what is wanted, rest there, and never leave a served route without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.ingress import (
    AddServer,
    Backend,
    Certificate,
    DeleteServer,
    IngressObserved,
    IngressState,
    Process,
    Route,
    Server,
    ServerObserved,
    ServerState,
    SetServer,
)
from agent.rules.ingress import (
    allows_host,
    allows_name,
    plan_growth,
    plan_ingress,
    pool_names,
    screen_state,
)
from tests.fakes.ingress import follow

KEYS = st.sampled_from(["svc-a", "svc-b", "svc-c", "svc-d"])
HOSTS = st.sampled_from(["a.test", "b.test", "c.test", "d.test", "e.test"])
NAMES = st.sampled_from(["r1", "r2", "r3", "r4"])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"])
STATES = st.sampled_from(ServerState)
POOL = pool_names(6)


@st.composite
def wanted_states(draw: st.DrawFn) -> IngressState:
    keys = draw(st.lists(KEYS, unique=True))
    hosts = {host: draw(st.sampled_from(keys)) for host in draw(st.sets(HOSTS))} if keys else {}
    return IngressState(
        routes=tuple(
            Route(
                key=key,
                hosts=tuple(sorted(h for h, k in hosts.items() if k == key)),
                servers=tuple(
                    Server(name=n, address=draw(ADDRESSES), port=80, state=draw(STATES))
                    for n in draw(st.lists(NAMES, unique=True))
                ),
            )
            for key in keys
        ),
        certificates=tuple(
            Certificate(host=host, pem=draw(st.sampled_from(["", "one", "two"]))) for host in draw(st.sets(HOSTS))
        ),
    )


@st.composite
def observed_states(draw: st.DrawFn) -> IngressObserved:
    return IngressObserved(
        process=Process(pid=1, started_at_seconds=1),
        backends=tuple(
            Backend(
                name=name,
                key=draw(st.none() | KEYS),
                servers=tuple(
                    ServerObserved(
                        name=n,
                        address=draw(ADDRESSES),
                        port=draw(st.sampled_from([80, 81])),
                        state=draw(STATES),
                        sessions=draw(st.sampled_from([0, 0, 2])),
                    )
                    for n in draw(st.lists(NAMES, unique=True))
                ),
            )
            for name in POOL
        ),
        hosts=draw(st.dictionaries(HOSTS, st.sampled_from([*POOL, "p0099", ""]))),
        certificates={
            Certificate(host=host, pem=pem).name: host
            for host in draw(st.sets(HOSTS))
            for pem in draw(st.sets(st.sampled_from(["one", "two", "three"]), min_size=1))
        },
        secured=frozenset(draw(st.sets(HOSTS))),
    )


def answering(observed: IngressObserved) -> dict[str, set[str]]:
    """The keys of ready servers' routes by host, as a request would find them."""
    backends = {backend.name: backend for backend in observed.backends}
    found: dict[str, set[str]] = {}
    for host, name in observed.hosts.items():
        backend = backends.get(name)
        if backend and backend.key and any(s.state is ServerState.READY for s in backend.servers):
            found[host] = {backend.key}
    return found


@given(wanted=wanted_states(), observed=observed_states())
def test_a_plan_reaches_what_is_wanted_but_for_servers_with_open_sessions(
    wanted: IngressState, observed: IngressObserved
) -> None:
    plan = plan_ingress(wanted, observed)
    after = observed
    for command in plan.commands:
        after = follow(after, command)
    backends = {backend.name: backend for backend in after.backends}
    for route in wanted.routes:
        if route.key in plan.unplaced:
            continue
        backend = backends[plan.placement[route.key]]
        assert backend.key == route.key
        servers = {server.name: server for server in backend.servers}
        for server in route.servers:
            seen = servers.pop(server.name)
            assert (seen.address, seen.port, seen.state) == (server.address, server.port, server.state)
        assert all(left.sessions and left.state is not ServerState.READY for left in servers.values())
        assert {host for host, name in after.hosts.items() if name == backend.name} == set(route.hosts)
    held = {host: name for name, host in after.certificates.items()}
    for certificate in wanted.certificates:
        if certificate.name:
            assert [name for name, host in after.certificates.items() if host == certificate.host] == [certificate.name]
        else:
            assert (certificate.host in held) == (certificate.host in observed.certificates.values())
    assert held.keys() <= {certificate.host for certificate in wanted.certificates}
    assert after.secured == held.keys()
    placed = set(plan.placement.values())
    for backend in after.backends:
        if backend.name not in placed:
            assert all(left.sessions and left.state is not ServerState.READY for left in backend.servers)
            assert backend.key is None or backend.servers


@given(wanted=wanted_states(), observed=observed_states())
def test_a_plan_carried_out_leaves_nothing_to_do(wanted: IngressState, observed: IngressObserved) -> None:
    for _ in range(2):
        # A backend freed by the first plan may take a route that found none, so the second may still place it.
        for command in plan_ingress(wanted, observed).commands:
            observed = follow(observed, command)
    assert plan_ingress(wanted, observed).commands == ()


@given(wanted=wanted_states(), observed=observed_states())
def test_a_plan_with_room_for_all_is_done_at_once(wanted: IngressState, observed: IngressObserved) -> None:
    plan = plan_ingress(wanted, observed)
    if plan.unplaced:
        return
    for command in plan.commands:
        observed = follow(observed, command)
    assert plan_ingress(wanted, observed).commands == ()


@given(wanted=wanted_states(), observed=observed_states())
def test_no_route_that_serves_before_and_after_is_without_a_ready_server_in_between(
    wanted: IngressState, observed: IngressObserved
) -> None:
    plan = plan_ingress(wanted, observed)
    moments = [observed]
    for command in plan.commands:
        moments.append(follow(moments[-1], command))
    served = [answering(moment) for moment in moments]
    for host in served[0].keys() & served[-1].keys():
        allowed = served[0][host] | served[-1][host]
        for moment in served:
            assert host in moment
            assert moment[host] <= allowed


@given(wanted=wanted_states(), observed=observed_states())
def test_servers_with_open_sessions_are_told_and_never_deleted(wanted: IngressState, observed: IngressObserved) -> None:
    plan = plan_ingress(wanted, observed)
    deleted = {(c.backend, c.server) for c in plan.commands if isinstance(c, DeleteServer)}
    for backend in observed.backends:
        for server in backend.servers:
            if server.sessions:
                assert (backend.name, server.name) not in deleted
    assert set(plan.lingering) <= {s.name for b in observed.backends for s in b.servers if s.sessions}


def test_a_replacement_is_ready_before_the_old_server_goes() -> None:
    old = ServerObserved(name="old", address="10.0.0.1", port=80, state=ServerState.READY)
    observed = IngressObserved(
        process=Process(pid=1, started_at_seconds=1),
        backends=(Backend(name="p0000", key="svc-a", servers=(old,)),),
        hosts={"a.test": "p0000"},
    )
    new = Server(name="new", address="10.0.0.2", port=80)
    plan = plan_ingress(IngressState(routes=(Route(key="svc-a", hosts=("a.test",), servers=(new,)),)), observed)
    assert plan.commands == (
        AddServer(backend="p0000", server="new", address="10.0.0.2", port=80),
        SetServer(backend="p0000", server="new", state=ServerState.READY),
        SetServer(backend="p0000", server="old", state=ServerState.MAINT),
        DeleteServer(backend="p0000", server="old"),
    )


def test_a_full_pool_leaves_the_newcomer_unplaced_and_serves_the_others() -> None:
    observed = IngressObserved(
        process=Process(pid=1, started_at_seconds=1), backends=(Backend(name="p0000"),), hosts={}
    )
    plan = plan_ingress(IngressState(routes=(Route(key="svc-a"), Route(key="svc-b"))), observed)
    assert plan.placement == {"svc-a": "p0000"}
    assert plan.unplaced == ("svc-b",)


@pytest.mark.parametrize(("keys", "size", "grown"), [(1, 8, 16), (17, 8, 32), (5, 0, 8)])
def test_a_pool_doubles_until_all_routes_fit(keys: int, size: int, grown: int) -> None:
    assert plan_growth([f"svc-{number}" for number in range(keys)], size) == grown


@pytest.mark.parametrize(
    "name", ["", "a b", "a;b", "a\nb", "a/b", "-a", "ä", "a" * 129, "a\x00", "a\n", "$(x)", "a#b", 'a"b', "<<"]
)
def test_names_that_could_carry_a_second_command_are_refused(name: str) -> None:
    assert not allows_name(name)


@given(wanted=wanted_states(), observed=observed_states())
def test_a_secured_host_always_has_a_certificate_on_the_way(wanted: IngressState, observed: IngressObserved) -> None:
    after = observed
    bare = observed.secured - set(observed.certificates.values())
    for command in plan_ingress(wanted, observed).commands:
        after = follow(after, command)
        assert after.secured - set(after.certificates.values()) <= bare


@pytest.mark.parametrize(
    "host",
    ["", "A.test", "a.test.", "a..test", "a.test:80", "a test", "a.test\n", "*.test", "-a.test", "a;b", "a" * 254],
)
def test_hosts_that_are_not_plain_lowercase_names_are_refused(host: str) -> None:
    assert not allows_host(host)


def test_one_bad_part_costs_nothing_but_itself() -> None:
    good = Server(name="r1", address="10.0.0.1", port=80)
    wanted = IngressState(
        routes=(
            Route(
                key="svc-a",
                hosts=("a.test", "b.test\ndisable frontend web", "a.test"),
                servers=(
                    good,
                    Server(name="r2;shutdown", address="10.0.0.1", port=80),
                    Server(name="r3", address="localhost", port=80),
                    Server(name="r4", address="10.0.0.1", port=0),
                    Server(name="r1", address="10.0.0.9", port=80),
                ),
            ),
            Route(key="svc b", hosts=("b.test",)),
            Route(key="svc-a", hosts=("c.test",)),
            Route(key="svc-d", hosts=("a.test", "d.test")),
        ),
        certificates=(
            Certificate(host="a.test", pem="one"),
            Certificate(host="a.test", pem="two"),
            Certificate(host="b.test <<\n", pem="three"),
        ),
    )
    screened, refused = screen_state(wanted)
    assert screened == IngressState(
        routes=(Route(key="svc-a", hosts=("a.test",), servers=(good,)), Route(key="svc-d", hosts=("d.test",))),
        certificates=(Certificate(host="a.test", pem="one"),),
    )
    assert len(refused) == 10
    assert all(sentence.startswith("cannot ") for sentence in refused)
