"""A fleet's identities, as many machines would get them: a join token and a certificate each, from a real controld."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Final

from agent.host.control import ControlCalls
from agent.host.identity_files import IdentityFiles
from client.api import Api
from controld.model.node import Node, NodeState
from controld.parts.ground import DATABASE_FILE
from controld.parts.nodes import AUTHORITY_FOLDER
from controld.store.authority_files import AuthorityFiles
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.nodes import NodeStore
from kit import tls
from kit.clock import SystemClock
from kit.ids import SystemIds
from wire.control.enrolment import EnrolmentAsked, decode_join_token
from wire.identity import CONTROL_HOST, CONTROL_URI, node_host, node_uri

_AT_ONCE: Final = 8
_ROWS_AT_ONCE: Final = 500
_LIFETIME: Final = dt.timedelta(days=1)
AUTHORITY: Final = "authority.pem"
SERVER: Final = "server.pem"


def enrol_fleet(folder: Path, *, api_url: str, token: str, count: int) -> None:
    """Enrol so many nodes and write `<number>.pem` for each, key and certificate, beside the authority."""
    folder.mkdir()
    asyncio.run(_enrol_fleet(folder, api_url=api_url, token=token, count=count))


def make_peers_identities(folder: Path) -> None:
    """An authority, a server and one client of its own, for a peer that speaks TLS as controld does."""
    folder.mkdir()
    now, authority_key = SystemClock().now(), tls.make_key()
    authority = tls.make_authority(authority_key, common_name="benchmark", now=now, lifetime=_LIFETIME)
    (folder / AUTHORITY).write_text(authority)
    holders = {
        SERVER: tls.Names(common_name="server", uri=CONTROL_URI, hosts=(CONTROL_HOST,)),
        "0.pem": tls.Names(common_name="client", uri="moorage://node/0"),
    }
    for name, names in holders.items():
        key = tls.make_key()
        certificate = tls.sign_certificate(
            tls.make_signing_request(key, common_name=names.common_name),
            names,
            authority_pem=authority,
            authority_key_pem=authority_key,
            now=now,
            lifetime=_LIFETIME,
        )
        (folder / name).write_text(key + certificate)


def write_fleet(folder: Path, *, controld: Path, count: int) -> None:
    """Make as many nodes as controld's data directory there says, by its own authority and database.

    They are the same as those that enrol, but for a key that all share, and take seconds where tokens take minutes.
    """
    folder.mkdir()
    asyncio.run(_write_fleet(folder, controld.absolute(), count))


def make_node(node_id: str, *, number: int, now: dt.datetime, serial: str = "") -> Node:
    """A node that has enrolled under the certificate with this serial, and was never heard of."""
    return Node(
        id=node_id,
        name=f"machine-{number}",
        state=NodeState.JOINING,
        labels={},
        address="127.0.0.1",
        port=7190,
        certificate_serial=serial,
        previous_serial=None,
        certificate_expires_at=now + _LIFETIME,
        agent_version=None,
        wire_version=None,
        created_at=now,
        heard_at=None,
        removed_at=None,
    )


async def _write_fleet(folder: Path, controld: Path, count: int) -> None:
    clock, ids = SystemClock(), SystemIds()
    files = AuthorityFiles(controld / AUTHORITY_FOLDER)
    authority = await files.open()
    (folder / AUTHORITY).write_text(authority)
    key = tls.make_key()
    asked = tls.make_signing_request(key, common_name="machine")
    nodes = []
    for number in range(count):
        node_id, now = ids.new_id(), clock.now()
        names = tls.Names(common_name=f"node {node_id}", uri=node_uri(node_id), hosts=(node_host(node_id),))
        certificate_pem, certificate = await files.sign(asked, names, now=now, lifetime=_LIFETIME)
        (folder / f"{number}.pem").write_text(key + certificate_pem)
        nodes.append(
            make_node(
                node_id,
                number=number,
                now=now,
                serial=certificate.serial,
            )
        )
    database = Database(f"sqlite+aiosqlite:///{controld}/{DATABASE_FILE}", feed=Feed("benchmark"), clock=clock)
    await database.open()
    try:
        for start in range(0, count, _ROWS_AT_ONCE):
            async with database.write() as tx:
                for node in nodes[start : start + _ROWS_AT_ONCE]:
                    await NodeStore().add(tx, node)
    finally:
        await database.close()


async def _enrol_fleet(folder: Path, *, api_url: str, token: str, count: int) -> None:
    control = ControlCalls(IdentityFiles(folder), timeout_seconds=30)
    gate = asyncio.Semaphore(_AT_ONCE)
    async with Api(api_url, token=token) as api:

        async def enrol(number: int) -> None:
            async with gate:
                made = decode_join_token((await api.make_join_token()).token)
                if number == 0:
                    (folder / AUTHORITY).write_text(await control.fetch_authority(made.url))
                key = tls.make_key()
                name = f"machine-{number}"
                asked = EnrolmentAsked(
                    secret=made.secret, csr_pem=tls.make_signing_request(key, common_name=name), name=name, port=7190
                )
                authority = (folder / AUTHORITY).read_text()
                enrolled = await control.send_enrolment(made.url, authority_pem=authority, asked=asked)
                (folder / f"{number}.pem").write_text(key + enrolled.certificate_pem)

        await enrol(0)
        await asyncio.gather(*map(enrol, range(1, count)))
