"""Asks external registries what a reference names, and is led nowhere inside."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from controld.core.faults import RegistryRefused
from controld.rules.registry_protocol import (
    MANIFESTS,
    Challenge,
    Manifest,
    is_this_machine,
    locate_manifest,
    parse_challenge,
    parse_digest,
)
from kit.addresses import Address, is_internal, parse_address
from wire.agent.builds import RegistryLogin
from wire.base import Lenient

_log = logging.getLogger(__name__)

_MOST_TOKEN_BYTES: Final = 64 * 1024
_DENIED: Final = frozenset({401, 403})

Lookup = Callable[[str], Awaitable[Sequence[Address]]]
"""Every address of a hostname; raises OSError where it has none."""


class _Token(Lenient, frozen=True):
    token: str | None = None
    access_token: str | None = None


async def look_up(host: str) -> Sequence[Address]:
    """Every address that this machine's resolver tells."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


class RegistryCalls:
    """Speaks the part of the distribution API that tells a digest; each ask ends within `limit_seconds`.

    Unless `allow_private`, no host is spoken to of which any address lies inside, the one that hands out tokens
    included; the addresses that were judged are those that are dialled. Redirects are not followed.
    """

    def __init__(self, *, allow_private: bool, lookup: Lookup = look_up, limit_seconds: float = 10.0) -> None:
        self._allow_private = allow_private
        self._lookup = lookup
        self._timeout = aiohttp.ClientTimeout(total=limit_seconds)

    async def resolve(self, reference: str, *, login: RegistryLogin | None) -> str | None:
        """The digest that the reference names now, or None where the registry does not say.

        Raises RegistryRefused when it takes nobody so signed in, has no such image, or stands where we do not go.
        """
        manifest = locate_manifest(reference)
        connector = aiohttp.TCPConnector(
            resolver=_Judging(self._lookup, allow_private=self._allow_private), use_dns_cache=False, force_close=True
        )
        try:
            async with aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, headers={"Accept": MANIFESTS}
            ) as session:
                return await self._resolve(session, manifest, reference, login=login)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
            _log.info("digest not told", extra={"image": reference, "reason": type(error).__name__})
            return None

    async def _resolve(
        self, session: aiohttp.ClientSession, manifest: Manifest, reference: str, *, login: RegistryLogin | None
    ) -> str | None:
        status, digest, challenge = await self._ask(session, manifest, authorization=None)
        if status == 401 and challenge is not None:
            authorization = await self._authorize(session, challenge, manifest, login=login)
            if authorization is not None:
                status, digest, _ = await self._ask(session, manifest, authorization=authorization)
        if status in _DENIED:
            raise RegistryRefused(f"cannot pull {reference}: its registry refuses the sign-in that is kept for it")
        if status == 404:
            raise RegistryRefused(f"cannot pull {reference}: its registry has no such image")
        return digest if status == 200 else None

    async def _ask(
        self, session: aiohttp.ClientSession, manifest: Manifest, *, authorization: str | None
    ) -> tuple[int, str | None, Challenge | None]:
        self._check(URL(manifest.url))
        headers = {} if authorization is None else {"Authorization": authorization}
        async with session.head(manifest.url, headers=headers, allow_redirects=False) as answer:
            wanted = answer.headers.get("WWW-Authenticate")
            digest = parse_digest(answer.headers.get("Docker-Content-Digest"))
            return answer.status, digest, None if wanted is None else parse_challenge(wanted)

    async def _authorize(
        self, session: aiohttp.ClientSession, challenge: Challenge, manifest: Manifest, *, login: RegistryLogin | None
    ) -> str | None:
        basic = None if login is None or login.token is not None else _encode(login)
        if challenge.scheme == "basic":
            return basic
        if challenge.scheme != "bearer":
            return None
        if login is not None and login.token is not None:
            return f"Bearer {login.token}"
        realm = URL(challenge.parameters["realm"])
        self._check(realm)
        query = {"scope": f"repository:{manifest.repository}:pull"}
        if (service := challenge.parameters.get("service")) is not None:
            query["service"] = service
        headers = {} if basic is None else {"Authorization": basic}
        async with session.get(realm.update_query(query), headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            said = msgspec.json.decode(await answer.content.read(_MOST_TOKEN_BYTES), type=_Token)
        token = said.token or said.access_token
        return None if token is None else f"Bearer {token}"

    def _check(self, url: URL) -> None:
        """Judge what needs no lookup; a name is judged as it is looked up."""
        host = url.host or ""
        if url.scheme != "https" and not (url.scheme == "http" and is_this_machine(host)):
            raise RegistryRefused(f"cannot sign in at {host}: it is asked over https only")
        address = parse_address(host)
        if address is not None and not self._allow_private and is_internal(address):
            raise refuse_inside(host)


class _Judging(AbstractResolver):
    def __init__(self, lookup: Lookup, *, allow_private: bool) -> None:
        self._lookup = lookup
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        addresses = await self._lookup(host)
        if not self._allow_private and any(is_internal(address) for address in addresses):
            raise refuse_inside(host)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        return


def refuse_inside(host: str) -> RegistryRefused:
    """The refusal of a host inside a network."""
    return RegistryRefused(
        f"cannot pull from {host}: its address lies inside a network; controld's setting allow_private_registries "
        "would allow it"
    )


def _encode(login: RegistryLogin) -> str:
    return aiohttp.encode_basic_auth(login.username, login.password, "utf-8")
