"""How a machine becomes a node, over TLS, between a real node side and a real agent's files."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent.core.enrolment import BadJoinToken
from agent.core.faults import CertificateExpired, ControlRefused, ControlUntrusted, NotEnrolled
from agent.model.identity import LinkPhase
from controld.core.faults import AuthorityUnusable, NodeInUse, NodeNotFound
from controld.model.caller import SETUP_CALLER, Caller, CallerKind, TokenKind
from controld.store.engine import Database
from kit import tls
from kit.faults import Forbidden
from tests.controld.api.nodeside.test_link import place_replica
from tests.nodeside import NodeSide, make_agent, node_side
from tests.waiting import eventually
from wire.control.enrolment import EnrolmentAsked, JoinToken, RenewalAsked, decode_join_token, encode_join_token
from wire.identity import CONTROL_HOST

DAY = dt.timedelta(days=1)


@pytest.fixture
async def side(database: Database, tmp_path: Path) -> AsyncIterator[NodeSide]:
    async with node_side(database, tmp_path / "authority") as running:
        yield running


def change(word: str, **parts: str) -> str:
    """The join token with parts of it replaced."""
    token = decode_join_token(word)
    return encode_join_token(
        JoinToken(**{"url": token.url, "fingerprint": token.fingerprint, "secret": token.secret, **parts})
    )


async def test_a_machine_with_a_token_becomes_a_node_and_keeps_its_key_to_itself(
    side: NodeSide, tmp_path: Path
) -> None:
    agent = make_agent(tmp_path / "agent")
    with pytest.raises(NotEnrolled):
        await agent.enrolment.load()

    identity = await agent.enrolment.enrol(await side.token(), name="vm1", port=7190)

    (node,) = await side.nodes.list(SETUP_CALLER)
    assert (node.id, node.name, node.address, node.port) == (identity.node_id, "vm1", "127.0.0.1", 7190)
    assert node.certificate_serial == identity.serial
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "agent").iterdir()}
    assert modes == {"identity.json": 0o600, "pair.pem": 0o600}
    assert await make_agent(tmp_path / "agent").enrolment.load() == identity
    assert "PRIVATE" not in repr(identity)


async def test_the_authoritys_files_are_for_their_owner_alone(side: NodeSide, tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_machines_of_one_name_get_names_of_their_own(side: NodeSide, tmp_path: Path) -> None:
    names = []
    for number in range(3):
        agent = make_agent(tmp_path / f"agent{number}")
        identity = await agent.enrolment.enrol(await side.token(), name="vm\n1", port=7190)
        names.append(identity.name)
    assert names == ["vm1", "vm1-2", "vm1-3"]


async def test_of_machines_that_race_with_one_token_exactly_one_gets_in(side: NodeSide, tmp_path: Path) -> None:
    word = await side.token()
    agents = [make_agent(tmp_path / f"agent{number}") for number in range(5)]

    done = await asyncio.gather(
        *(agent.enrolment.enrol(word, name="vm", port=7190) for agent in agents), return_exceptions=True
    )

    refused = [each for each in done if isinstance(each, ControlRefused)]
    assert len(refused) == 4
    assert {fault.details["code"] for fault in refused} == {"join_token_refused"}
    assert len(await side.nodes.list(SETUP_CALLER)) == 1


async def test_a_token_that_expired_or_was_made_up_is_refused(side: NodeSide, tmp_path: Path) -> None:
    agent, word = make_agent(tmp_path / "agent"), await side.token()
    with pytest.raises(ControlRefused, match="unknown, was used before, or has expired"):
        await agent.enrolment.enrol(change(word, secret="0" * 64), name="vm", port=7190)
    with pytest.raises(BadJoinToken):
        await agent.enrolment.enrol(word[:-9], name="vm", port=7190)

    side.clock.offset = dt.timedelta(minutes=16)

    with pytest.raises(ControlRefused, match="unknown, was used before, or has expired"):
        await agent.enrolment.enrol(word, name="vm", port=7190)
    assert await agent.files.read() is None


async def test_nothing_is_sent_to_a_controld_whose_authority_is_not_the_tokens(side: NodeSide, tmp_path: Path) -> None:
    agent, word = make_agent(tmp_path / "agent"), await side.token()

    with pytest.raises(ControlUntrusted, match="nothing was sent"):
        await agent.enrolment.enrol(change(word, fingerprint="0" * 64), name="vm", port=7190)

    await agent.enrolment.enrol(word, name="vm", port=7190)


async def test_a_bad_ask_leaves_the_token_good(side: NodeSide) -> None:
    token = await side.secret()
    authority_pem = side.authority.certificate_pem
    agent = make_agent(Path("unused"))
    good = tls.make_signing_request(tls.make_key(), common_name="vm")
    for asked in (
        EnrolmentAsked(secret=token.secret, csr_pem="nonsense", name="vm", port=7190),
        EnrolmentAsked(secret=token.secret, csr_pem=good, name="vm", port=0),
        EnrolmentAsked(secret=token.secret, csr_pem=good, name="vm", port=7190, address="a b/c"),
    ):
        with pytest.raises(ControlRefused):
            await agent.control.send_enrolment(side.url, authority_pem=authority_pem, asked=asked)

    asked = EnrolmentAsked(secret=token.secret, csr_pem=good, name="vm", port=7190)
    enrolled = await agent.control.send_enrolment(side.url, authority_pem=authority_pem, asked=asked)
    assert enrolled.name == "vm"


async def test_who_has_no_certificate_of_ours_gets_no_further_than_enrolment(
    side: NodeSide, database: Database, tmp_path: Path
) -> None:
    context = tls.client_context(authority_pem=side.authority.certificate_pem)
    async with aiohttp.ClientSession(side.url) as session:
        for method, path in (("GET", "/link"), ("POST", "/renewals")):
            async with session.request(
                method, path, ssl=context, server_hostname=CONTROL_HOST, json={"csr_pem": ""}
            ) as response:
                assert response.status == 401

    key = tls.make_key()
    foreign_pem = tls.make_authority(key, common_name="foreign", now=dt.datetime.now(dt.UTC), lifetime=DAY)
    (tmp_path / "foreign.pem").write_text(foreign_pem + key)
    context = tls.client_context(
        authority_pem=side.authority.certificate_pem, certificate=tmp_path / "foreign.pem", key=tmp_path / "foreign.pem"
    )
    async with aiohttp.ClientSession(side.url) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get("/authority", ssl=context, server_hostname=CONTROL_HOST)


async def test_a_certificate_is_renewed_at_two_thirds_and_the_link_goes_on(side: NodeSide, tmp_path: Path) -> None:
    agent = make_agent(tmp_path / "agent")
    first = await agent.enrolment.enrol(await side.token(), name="vm", port=7190)
    assert await agent.enrolment.renew_if_due() is None

    agent.clock.offset = dt.timedelta(days=61)
    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        second = await agent.enrolment.renew_if_due()
        assert second is not None
        assert (second.node_id, second.key_pem == first.key_pem) == (first.node_id, False)
        node = await side.nodes.get(SETUP_CALLER, first.node_id)
        assert (node.accepts(first.serial), node.accepts(second.serial)) == (True, True)
    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
        await eventually(lambda: _is_superseded(side, first.node_id, first.serial))


async def _is_superseded(side: NodeSide, node_id: str, serial: str) -> bool:
    return not (await side.nodes.get(SETUP_CALLER, node_id)).accepts(serial)


async def test_an_answer_to_a_renewal_that_is_lost_does_no_harm(side: NodeSide, tmp_path: Path) -> None:
    agent = make_agent(tmp_path / "agent")
    identity = await agent.enrolment.enrol(await side.token(), name="vm", port=7190)
    caller = Caller(
        kind=CallerKind.NODE, token_kind=TokenKind.CERTIFICATE, token_id=identity.serial, node_id=identity.node_id
    )
    _, csr_pem = await agent.files.make_request(common_name="vm")
    await side.enrolment.renew(caller, RenewalAsked(csr_pem=csr_pem))

    async with agent.linked() as link:
        await eventually(lambda: link.standing.phase is LinkPhase.UP)
    agent.clock.offset = dt.timedelta(days=61)
    assert await agent.enrolment.renew_if_due() is not None


async def test_a_node_whose_certificate_ran_out_says_what_to_do_and_comes_back_as_itself(
    side: NodeSide, tmp_path: Path
) -> None:
    agent = make_agent(tmp_path / "agent")
    first = await agent.enrolment.enrol(await side.token(), name="vm", port=7190)
    agent.clock.offset = dt.timedelta(days=91)
    with pytest.raises(CertificateExpired, match=f"join token for node {first.node_id}"):
        await agent.enrolment.check()
    async with agent.linked() as link:
        await eventually(lambda: "ran out" in (link.standing.fault or ""))

        side.clock.offset = agent.clock.offset = dt.timedelta()
        other = make_agent(tmp_path / "agent")
        second = await other.enrolment.enrol(await side.token(node_id=first.node_id), name="vm", port=7199)

        await eventually(lambda: link.standing.phase is LinkPhase.UP)
    (node,) = await side.nodes.list(SETUP_CALLER)
    assert second.node_id == first.node_id
    assert (node.port, node.accepts(first.serial), node.accepts(second.serial)) == (7199, False, True)


async def test_controlds_own_certificate_is_renewed_without_a_restart(side: NodeSide, tmp_path: Path) -> None:
    agent = make_agent(tmp_path / "agent")
    await agent.enrolment.enrol(await side.token(), name="vm", port=7190)
    before = await side.authority_files.read_own()
    side.clock.offset = dt.timedelta(days=61)
    assert await side.authority.renew_own_if_due()
    side.clock.offset = dt.timedelta()

    after = await side.authority_files.read_own()
    assert before is not None
    assert after is not None
    assert before.serial != after.serial
    context = tls.unverified_client_context()
    _, writer = await asyncio.open_connection("127.0.0.1", side.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert tls.parse_certificate(ssl.DER_cert_to_PEM_cert(shown)).serial == after.serial


async def test_a_certificate_from_a_future_that_was_a_clocks_mistake_is_made_anew(side: NodeSide) -> None:
    side.clock.offset = dt.timedelta(days=61)
    assert await side.authority.renew_own_if_due()
    side.clock.offset = dt.timedelta()

    assert await side.authority.renew_own_if_due()
    assert not await side.authority.renew_own_if_due()


async def test_an_authority_that_is_lost_or_another_stops_the_start(database: Database, tmp_path: Path) -> None:
    async with node_side(database, tmp_path / "first"):
        pass
    async with node_side(database, tmp_path / "first"):
        pass
    with pytest.raises(AuthorityUnusable, match="missing"):
        async with node_side(database, tmp_path / "second"):
            pass
    (tmp_path / "first" / "authority.pem").write_text("nonsense")
    with pytest.raises(AuthorityUnusable):
        async with node_side(database, tmp_path / "first"):
            pass


async def test_only_a_super_admin_hands_out_tokens_sees_or_removes_nodes(side: NodeSide) -> None:
    somebody = Caller(kind=CallerKind.USER, token_kind=TokenKind.SESSION, user_id="u", username="u")
    for work in (
        side.enrolment.create_token(somebody),
        side.nodes.list(somebody),
        side.nodes.get(somebody, "n"),
        side.nodes.remove(somebody, "n", force=True),
    ):
        with pytest.raises(Forbidden):
            await work
    for missing in (
        side.enrolment.create_token(SETUP_CALLER, node_id="n"),
        side.nodes.get(SETUP_CALLER, "n"),
        side.nodes.remove(SETUP_CALLER, "n", force=True),
    ):
        with pytest.raises(NodeNotFound):
            await missing


async def test_a_node_with_replicas_is_removed_only_by_force(side: NodeSide, tmp_path: Path) -> None:
    agent = make_agent(tmp_path / "agent")
    identity = await agent.enrolment.enrol(await side.token(), name="vm", port=7190)
    await place_replica(side, identity.node_id)

    with pytest.raises(NodeInUse):
        await side.nodes.remove(SETUP_CALLER, identity.node_id, force=False)
    await side.nodes.remove(SETUP_CALLER, identity.node_id, force=True)

    assert await side.nodes.list(SETUP_CALLER) == []
    agent.clock.offset = dt.timedelta(days=61)
    with pytest.raises(ControlRefused, match="was removed"):
        await agent.enrolment.renew_if_due()
