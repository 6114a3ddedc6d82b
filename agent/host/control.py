"""Asks of controld's node side over HTTPS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
import msgspec

from agent.core.faults import ControlRefused, ControlUnreachable, ControlUntrusted
from agent.host.identity_files import IdentityFiles
from kit import tls
from wire.base import Lenient
from wire.control import enrolment
from wire.control.enrolment import Enrolled, EnrolmentAsked, RenewalAsked, Renewed
from wire.control.wakes import WAKES_PATH, WakeAsked, WakeTold
from wire.identity import CONTROL_HOST

T = TypeVar("T")

_MOST_BYTES = 256 * 1024


class _Refusal(Lenient, frozen=True):
    """How controld's node side words a fault."""

    error: str = ""
    code: str = "unknown"


class ControlCalls:
    """Speaks to controld's node side; each call opens a connection of its own and ends within its deadline."""

    def __init__(self, files: IdentityFiles, *, timeout_seconds: float) -> None:
        self._files = files
        self._timeout_seconds = timeout_seconds

    async def fetch_authority(self, url: str) -> str:
        """The certificate of whoever answers there."""
        context = await asyncio.to_thread(tls.unverified_client_context)
        data = await self._ask("GET", url + enrolment.AUTHORITY_PATH, context=context)
        try:
            return data.decode("ascii")
        except UnicodeDecodeError as error:
            raise ControlUntrusted(f"cannot read the authority at {url}: it is not PEM") from error

    async def send_enrolment(self, url: str, *, authority_pem: str, asked: EnrolmentAsked) -> Enrolled:
        """Enrol; the connection is made to a holder of the control name under that authority only."""
        context = await asyncio.to_thread(lambda: tls.client_context(authority_pem=authority_pem))
        data = await self._ask("POST", url + enrolment.ENROLMENTS_PATH, context=context, body=asked)
        return _decode(data, Enrolled)

    async def send_renewal(self, url: str, asked: RenewalAsked) -> Renewed:
        """Ask for a fresh certificate under the one at hand."""
        identity = await self._files.read()
        assert identity is not None
        context = await self._files.make_client_context()
        data = await self._ask("POST", url + enrolment.RENEWALS_PATH, context=context, body=asked)
        return _decode(data, Renewed)

    async def send_wake(self, url: str, asked: WakeAsked) -> WakeTold:
        """Have a service woken that scaled to nothing."""
        context = await self._files.make_client_context()
        data = await self._ask("POST", url + WAKES_PATH, context=context, body=asked)
        return _decode(data, WakeTold)

    async def _ask(self, method: str, url: str, *, context: ssl.SSLContext, body: object = None) -> bytes:
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        headers: Mapping[str, str] = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        async with translated(url), aiohttp.ClientSession(timeout=timeout) as session:
            async with session.request(
                method,
                url,
                data=data,
                headers=headers,
                ssl=context,
                server_hostname=CONTROL_HOST,
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(_MOST_BYTES)
                if response.status != 200:
                    raise refusal(url, response.status, answer)
                return answer


def refusal(url: str, status: int, body: bytes) -> ControlRefused | ControlUnreachable:
    """The fault that an answer with this status means."""
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except msgspec.MsgspecError:
        said = _Refusal()
    message = f"cannot get {url} from controld: {said.error or f'it answered {status}'}"
    if status >= 500 or status == 429:
        return ControlUnreachable(message, details={"code": said.code})
    return ControlRefused(message, details={"code": said.code})


@asynccontextmanager
async def translated(url: str) -> AsyncIterator[None]:
    """Turns what aiohttp raises inside into our faults."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise ControlUntrusted(
            f"cannot trust {url}: {error.certificate_error}; it is not the controld that this machine joined"
        ) from error
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise ControlRefused(
            f"cannot reach controld at {url}: TLS failed ({error})", details={"code": "tls"}
        ) from error
    except TimeoutError as error:
        raise ControlUnreachable(f"cannot reach controld at {url}: no answer in time") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ControlUnreachable(f"cannot reach controld at {url}: {str(error) or type(error).__name__}") from error


def _decode(data: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.MsgspecError as error:
        raise ControlUnreachable(f"cannot read controld's answer: {error}") from error
