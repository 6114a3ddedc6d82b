"""Speaks ACME (RFC 8555) with a public certificate authority, by HTTP-01 proofs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import email.utils
import hashlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp

from controld.core.domain_faults import IssuerLimited, IssuerRefused, IssuerUnreachable
from controld.model.certificate import HttpProof, Issued, Order
from kit import tls
from kit.clock import Clock
from wire.version import RELEASE

if TYPE_CHECKING:
    from acme.client import ClientV2
    from acme.messages import ChallengeBody, OrderResource

_log = logging.getLogger(__name__)

T = TypeVar("T")

_REQUEST_SECONDS: Final = 15
_ORDERS_AT_ONCE: Final = 4
_NONCE_TRIES: Final = 3
_LIMITED: Final = frozenset({"rateLimited"})
_PASSING: Final = frozenset({"serverInternal", "badNonce", "accountDoesNotExist"})


class Abandoned(Exception):
    """The order is of no use to anybody any more."""


class _Watch:
    """What happens to one order: whether it was abandoned, and what the authority last said of coming again.

    `close` ends its idle connections.
    """

    def __init__(self) -> None:
        self.abandoned = threading.Event()
        self.retry_after: str | None = None
        self.close: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Handle:
    client: ClientV2
    order: OrderResource
    challenge: ChallengeBody | None
    key_pem: str
    watch: _Watch


class AcmeIssuer:
    """One authority; every order has a connection of its own, and blocks a thread while it is under way.

    `email` is where the authority writes to; giving it agrees to the authority's terms. `ca_file` vouches for the
    authority in place of the system's roots.
    """

    def __init__(self, directory_url: str, *, email: str, ca_file: Path | None, clock: Clock) -> None:
        self._directory_url = directory_url
        self._email = email
        self._ca_file = ca_file
        self._clock = clock
        self._accounts: dict[str, str] = {}
        self._watches: set[_Watch] = set()
        self._threads = ThreadPoolExecutor(_ORDERS_AT_ONCE, thread_name_prefix="acme")

    @property
    def name(self) -> str:
        return hashlib.sha256(self._directory_url.encode()).hexdigest()[:16]

    async def begin(self, hostname: str, *, account_key_pem: str, key_pem: str) -> Order:
        watch = _Watch()
        self._watches.add(watch)
        try:
            return await self._run(watch, lambda: self._begin(watch, hostname, account_key_pem, key_pem=key_pem))
        except BaseException:
            self._drop(watch)
            raise

    async def finish(self, order: Order) -> Issued:
        handle = order.handle
        assert isinstance(handle, _Handle)
        return await self._run(handle.watch, lambda: _finish(handle, order.hostname))

    def abandon(self, order: Order) -> None:
        assert isinstance(order.handle, _Handle)
        self._drop(order.handle.watch)

    def close(self) -> None:
        """Give up every order that is under way; none is begun from then on."""
        for watch in list(self._watches):
            self._drop(watch)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _drop(self, watch: _Watch) -> None:
        watch.abandoned.set()
        watch.close()
        self._watches.discard(watch)

    async def _run(self, watch: _Watch, work: Callable[[], T]) -> T:
        def translated() -> T:
            with self._translated(watch):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, translated)

    def _begin(self, watch: _Watch, hostname: str, account_key_pem: str, *, key_pem: str) -> Order:
        from acme import crypto_util
        from acme.challenges import HTTP01
        from acme.client import ClientV2
        from acme.messages import STATUS_VALID

        network = self._open_network(watch, account_key_pem)
        client = ClientV2(ClientV2.get_directory(self._directory_url, network), network)
        self._sign_in(client, account_key_pem)
        order = client.new_order(crypto_util.make_csr(key_pem.encode(), [hostname]))
        challenge: ChallengeBody | None = None
        proof: HttpProof | None = None
        if any(each.body.status != STATUS_VALID for each in order.authorizations):
            offered = [body for each in order.authorizations for body in each.body.challenges]
            challenge = next((body for body in offered if isinstance(body.chall, HTTP01)), None)
            if challenge is None:
                raise IssuerRefused(f"the authority offers no HTTP-01 proof for {hostname}")
            proof = HttpProof(
                token=challenge.chall.encode("token"), body=challenge.chall.key_authorization(network.key)
            )
        handle = _Handle(client=client, order=order, challenge=challenge, key_pem=key_pem, watch=watch)
        return Order(hostname=hostname, proof=proof, handle=handle)

    def _open_network(self, watch: _Watch, account_key_pem: str) -> Any:
        from acme import messages
        from acme.client import ClientNetwork
        from cryptography.hazmat.primitives import serialization
        from josepy.jwa import ES256
        from josepy.jwk import JWKEC
        from josepy.util import ComparableECKey

        class Network(ClientNetwork):
            """Ends with its order, and remembers when the authority wants to be asked again."""

            def post(self, *args: Any, **kwargs: Any) -> Any:
                # The library takes one refused nonce in good part; busy authorities refuse several in a row.
                for _ in range(_NONCE_TRIES):
                    try:
                        return super().post(*args, **kwargs)
                    except messages.Error as error:
                        if error.code != "badNonce":
                            raise
                return super().post(*args, **kwargs)

            def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
                if watch.abandoned.is_set():
                    raise Abandoned
                response = super()._send_request(method, url, *args, **kwargs)
                watch.retry_after = None if response.ok else response.headers.get("Retry-After")
                return response

        key = serialization.load_pem_private_key(account_key_pem.encode(), password=None)
        network = Network(
            JWKEC(key=ComparableECKey(key)),  # type: ignore[arg-type]
            alg=ES256,
            verify_ssl=str(self._ca_file) if self._ca_file is not None else True,  # type: ignore[arg-type]
            user_agent=f"moorage/{RELEASE}",
            timeout=_REQUEST_SECONDS,
        )
        watch.close = network.session.close
        return network

    def _sign_in(self, client: ClientV2, account_key_pem: str) -> None:
        """Have the account's address, opening the account where there is none for its key."""
        from acme.errors import ConflictError
        from acme.messages import NewRegistration, Registration, RegistrationResource

        known = self._accounts.get(account_key_pem)
        if known is None:
            terms = getattr(client.directory.meta, "terms_of_service", None)
            try:
                asked = NewRegistration.from_data(email=self._email, terms_of_service_agreed=True)
                known = client.new_account(asked).uri
                _log.info("account opened at the authority", extra={"terms": terms})
            except ConflictError as conflict:
                known = conflict.location
            self._accounts[account_key_pem] = known
        client.net.account = RegistrationResource(uri=known, body=Registration())

    @contextlib.contextmanager
    def _translated(self, watch: _Watch) -> Iterator[None]:
        """Word the library's failures as ours."""
        from acme import errors, messages
        from requests import RequestException

        try:
            yield
        except Abandoned as error:
            raise IssuerUnreachable("the order was given up") from error
        except messages.Error as error:
            code = error.code or ""
            if code == "accountDoesNotExist":
                self._accounts.clear()
            kind = IssuerLimited if code in _LIMITED else IssuerUnreachable if code in _PASSING else IssuerRefused
            raise kind(
                f"the authority says {code or error.typ}: {error.detail or 'nothing more'}",
                retry_after_seconds=parse_retry_after(watch.retry_after, now=self._clock.now()),
            ) from error
        except errors.ValidationError as error:
            raise IssuerRefused(f"the authority could not see the proof: {_tell_validation(error)}") from error
        except errors.IssuanceError as error:
            raise IssuerRefused(f"the authority did not issue: {error.error.detail}") from error
        except errors.TimeoutError as error:
            raise IssuerUnreachable("the authority did not come to an end in time") from error
        except (errors.Error, RequestException) as error:
            raise IssuerUnreachable(
                f"the authority does not answer as one: {type(error).__name__}: {error}",
                retry_after_seconds=parse_retry_after(watch.retry_after, now=self._clock.now()),
            ) from error


async def fetch_directory(url: str, *, ca_file: Path | None) -> dict[str, Any]:
    """What the authority's directory says; raises IssuerUnreachable. No account is needed, and none is opened."""
    try:
        context = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file)
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, ssl=context) as answer:
            told = await answer.json(content_type=None)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise IssuerUnreachable(f"the authority does not answer as one: {why}") from error
    if answer.status != 200 or not isinstance(told, dict) or "newOrder" not in told:
        raise IssuerUnreachable(f"the authority does not answer as one: {url} is no directory of ACME")
    return told


def parse_retry_after(value: str | None, *, now: dt.datetime) -> int | None:
    """The seconds that a Retry-After header asks for, in either of its forms."""
    if value is None:
        return None
    if value.strip().isdigit():
        return int(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0, int((moment.astimezone(dt.UTC) - now).total_seconds()))


def _finish(handle: _Handle, hostname: str) -> Issued:
    client = handle.client
    if handle.challenge is not None:
        client.answer_challenge(handle.challenge, handle.challenge.response(client.net.key))
    chain_pem = client.poll_and_finalize(handle.order).fullchain_pem
    try:
        fits = tls.is_key_of(handle.key_pem, chain_pem) and hostname in tls.read_hosts(chain_pem)
        facts = tls.parse_certificate(chain_pem)
    except tls.BadCertificate as error:
        raise IssuerRefused(f"the authority's certificate for {hostname} cannot be read") from error
    if not fits:
        raise IssuerRefused(f"the authority's certificate is for another key or host than {hostname}")
    return Issued(chain_pem=chain_pem, not_before_at=facts.not_before_at, not_after_at=facts.not_after_at)


def _tell_validation(error: Any) -> str:
    """What the authority said of each proof that it did not accept."""
    details = [
        str(challenge.error.detail or challenge.error)
        for authorization in error.failed_authzrs
        for challenge in authorization.body.challenges
        if challenge.error is not None
    ]
    return "; ".join(dict.fromkeys(details)) or "it does not say why"
