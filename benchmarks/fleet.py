"""A fleet's identities, as many machines would get them: a join token and a certificate each, from a real controld."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Final

from agent.host.control import ControlCalls
from agent.host.identity_files import IdentityFiles
from client.api import Api
from kit import tls
from kit.clock import SystemClock
from wire.control.enrolment import EnrolmentAsked, decode_join_token
from wire.identity import CONTROL_HOST, CONTROL_URI

_AT_ONCE: Final = 8
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
