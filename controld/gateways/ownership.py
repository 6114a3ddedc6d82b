"""Asks hosts for proofs of ownership, and lets nobody lead it inside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from controld.gateways.resolver import Resolver
from controld.model.ownership import Proof
from controld.rules.ownership import LOOKUP_FAILED, REFUSED, TIMED_OUT, TOO_LARGE, Network, pick_address
from kit.addresses import Address

_LARGEST_BODY: Final = 1024
_HEADERS: Final = {"User-Agent": "denia-verifier/1", "Accept": "text/plain", "Accept-Encoding": "identity"}


class OwnershipCheck:
    """Looks a hostname up once and asks the address that was judged; follows nothing and reads no more than 1 KiB.

    `allowed` are networks inside that may be asked all the same; `limit_seconds` holds for the lookup, and for the
    rest once more.
    """

    def __init__(
        self, resolver: Resolver, *, port: int = 80, allowed: Sequence[Network] = (), limit_seconds: float = 5.0
    ) -> None:
        self._resolver = resolver
        self._limit_seconds = limit_seconds
        self._port = port
        self._allowed = tuple(allowed)

    async def ask(self, hostname: str, path: str) -> Proof:
        try:
            async with asyncio.timeout(self._limit_seconds):
                answers = await self._resolver.resolve(hostname)
        except TimeoutError:
            answers = []
        address = pick_address(answers, allowed=self._allowed)
        if address is None:
            return Proof(problem=LOOKUP_FAILED)
        connector = aiohttp.TCPConnector(resolver=_Pinned(address), use_dns_cache=False, force_close=True)
        timeout = aiohttp.ClientTimeout(total=self._limit_seconds, sock_connect=self._limit_seconds)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
                session.get(
                    f"http://{hostname}:{self._port}{path}",
                    headers={"Host": hostname, **_HEADERS},
                    allow_redirects=False,
                ) as answer,
            ):
                return await _read(answer)
        except TimeoutError:
            return Proof(problem=TIMED_OUT)
        except (aiohttp.ClientError, OSError, ValueError):
            return Proof(problem=REFUSED)


class _Pinned(AbstractResolver):
    """Every name is the address that was judged."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family
        return [
            ResolveResult(
                hostname=host,
                host=str(self._address),
                port=port,
                family=socket.AF_INET if self._address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        return


async def _read(answer: aiohttp.ClientResponse) -> Proof:
    if not 200 <= answer.status < 300:
        return Proof(status=answer.status)
    body = b""
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _LARGEST_BODY:
            return Proof(problem=TOO_LARGE)
    return Proof(status=answer.status, body=body)
