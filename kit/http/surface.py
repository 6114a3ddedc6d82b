"""What an HTTP API is made of, as values: a surface, its table of routes, and the ask a handler is given."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from aiohttp import web

from kit.faults import Fault

PUBLIC = "public"
ONE_MIB = 1024 * 1024


class HeadersSent(Exception):
    """Ends the handler of a stream that was asked for by HEAD, once its headers are out."""


class Ask:
    """One request as a handler sees it: who calls, what was decoded, and the aiohttp request for streams."""

    __slots__ = ("body", "caller", "opened", "path", "query", "request", "request_id", "surface")

    def __init__(
        self,
        request: web.Request,
        request_id: str,
        *,
        surface: Surface,
        path: Mapping[str, str],
    ) -> None:
        self.request = request
        self.request_id = request_id
        self.surface = surface
        self.path = path
        self.caller: Any = None
        self.query: Any = None
        self.body: Any = None
        self.opened: web.StreamResponse | None = None

    @property
    def peer(self) -> str:
        """The client's address; see `peer_of`."""
        return peer_of(self.request)

    def dress(self, response: web.StreamResponse) -> None:
        """Give a response the request's id and the surface's headers, keeping those it already has."""
        headers = response.headers
        headers["X-Request-Id"] = self.request_id
        for name, value in self.surface.response_headers.items():
            headers.setdefault(name, value)

    async def open(self, response: web.StreamResponse) -> None:
        """Dress a stream's response and send its headers; the server ends it in good order when it stops.

        It raises HeadersSent on HEAD, which the server takes as the end of the answer.
        """
        self.dress(response)
        await response.prepare(self.request)
        self.opened = response
        if self.request.method == "HEAD":
            raise HeadersSent


@dataclass(frozen=True, slots=True)
class Answer:
    """A result with its own status or headers; bytes travel as they are, anything else becomes JSON."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of a surface's table.

    `path` has parameters as `{service_id}`, or `{rest:.+}` with a pattern; `access` is the least role that may call, as
    the surface words it ("public" asks for no credential). `body` is the type decoded from JSON; `raw_body` names the
    content type of a body that the handler streams itself, without a cap. `answer` is the type of the result, `stream`
    the content type of a stream, several of them joined by ", ", or "websocket", `content` that of an answer that is no
    JSON, and `headers` says what the headers of a good answer mean. Parameters called `id` or `*_id` must be UUIDs, and
    reach the handler in lowercase, unless `free_path`. `throttled` rows run the surface's `before`.
    """

    method: str
    path: str
    access: str
    handler: Callable[[Ask], Awaitable[object]]
    summary: str
    body: Any = None
    raw_body: str | None = None
    query: Any = None
    answer: Any = None
    status: int = 200
    stream: str | None = None
    faults: tuple[type[Fault], ...] = ()
    max_body_bytes: int = ONE_MIB
    throttled: bool = True
    aliases: tuple[str, ...] = ()
    free_path: bool = False
    content: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_body(self) -> bool:
        """Whether a call without a body is refused; a POST all of whose fields have defaults may come without one."""
        if self.method != "POST" or not isinstance(self.body, type) or not issubclass(self.body, msgspec.Struct):
            return True
        return any(each.required for each in msgspec.structs.fields(self.body))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldFaults:
    """What a surface's document says of faults beside those of its rows: the type of a worded one, those that are told
    without a body, those that `before` raises, and those that any row with a caller may tell.
    """

    shape: Any = None
    bodiless: tuple[type[Fault], ...] = ()
    before: tuple[type[Fault], ...] = ()
    anywhere: tuple[type[Fault], ...] = ()


class CallersWatch(Protocol):
    """Hears that callers may have lost, or gained, what they had."""

    async def next(self) -> object:
        """Wait until something changed since the last time."""
        ...

    def close(self) -> None:
        """Stop to listen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """One public API: what it claims, its table, how it recognises a caller and how it words a fault.

    `authenticate` returns the caller, None where no credential was given, and raises Unauthenticated for a bad one.
    With `credential_first` an unknown path, a wrong method or a bad path is told only to callers with a credential.
    `before` runs ahead of authentication and may raise Limited. `not_found` answers what no route of the surface does.
    With `watch_callers` an open stream ends as soon as its caller is refused; without it, at its next look.
    `note_forbidden` hears of every caller that is told Forbidden: who, the method and path, and the fault; it must not
    block. `told_faults` is for the surface's document.
    """

    name: str
    title: str
    version: str
    claims: tuple[str, ...]
    routes: tuple[Route, ...]
    authenticate: Callable[[web.Request], Awaitable[Any]]
    render_fault: Callable[[web.Request, Fault], web.StreamResponse]
    credential_first: bool = False
    before: Callable[[web.Request], None] | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    not_found: Callable[[Ask], Awaitable[object]] | None = None
    told_faults: ToldFaults = ToldFaults()
    watch_callers: Callable[[], CallersWatch] | None = None
    note_forbidden: Callable[[Any, str, Fault], None] | None = None


def peer_of(request: web.Request) -> str:
    """The client's address: the TCP peer, or the first element of X-Forwarded-For when the peer is this machine."""
    remote = request.remote or ""
    if not (remote.startswith("127.") or remote in {"::1", "::ffff:127.0.0.1", ""}):
        return remote
    forwarded = request.headers.get("X-Forwarded-For")
    if forwarded is None:
        return remote
    first = forwarded.split(",", 1)[0].strip()
    try:
        return str(ipaddress.ip_address(first))
    except ValueError:
        return remote
