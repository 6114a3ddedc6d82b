"""The relay carries the engine's registry calls to controld, for nobody but the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, encode_basic_auth, web

from agent.api.auth import authenticate_nobody
from agent.api.envelope import render_fault
from agent.api.registry import RegistryRelay
from kit.faults import Unavailable
from kit.http.surface import Surface
from tests.serving import serve

_LOGIN = ("node", "secret")
_KNOWN = {"Authorization": encode_basic_auth(*_LOGIN)}


class _Answer:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 7):
            yield self._body[start : start + 7]


class _Upstream:
    """Remembers what it was asked and answers what it was told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.down = False

    @asynccontextmanager
    async def ask(
        self, method: str, target: str, *, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[_Answer]:
        if self.down:
            raise Unavailable("cannot reach the registry")
        sent = b"".join([chunk async for chunk in body]) if body else b""
        self.asked.append((method, target, dict(headers), sent))
        if method == "HEAD":
            yield _Answer(200, {"Docker-Content-Digest": "sha256:x", "Content-Length": "7"}, b"")
        else:
            yield _Answer(202, {"Location": "/v2/a/b/blobs/uploads/1", "Set-Cookie": "no"}, b"the body of it")


@pytest.fixture
def upstream() -> _Upstream:
    return _Upstream()


@pytest.fixture
async def session(upstream: _Upstream) -> AsyncIterator[ClientSession]:
    surface = Surface(
        name="loopback",
        title="Loopback",
        version="1",
        claims=("/v2",),
        routes=RegistryRelay(upstream, login=_LOGIN).routes(),
        authenticate=authenticate_nobody,
        render_fault=render_fault,
    )
    async with serve(surface) as session:
        yield session


async def test_a_call_without_the_engines_secret_is_refused(session: ClientSession, upstream: _Upstream) -> None:
    for headers in ({}, {"Authorization": encode_basic_auth("node", "guess")}):
        async with session.get("/v2/", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert upstream.asked == []


async def test_a_push_travels_whole_with_its_query_and_range(session: ClientSession, upstream: _Upstream) -> None:
    async with session.patch(
        "/v2/a/b/blobs/uploads/1?_state=x%20y",
        data=b"z" * 100_000,
        headers={**_KNOWN, "Content-Range": "0-99999", "X-Other": "stays here"},
    ) as answer:
        assert answer.status == 202
        assert answer.headers["Location"] == "/v2/a/b/blobs/uploads/1"
        assert "Set-Cookie" not in answer.headers
        assert await answer.read() == b"the body of it"
    [(method, target, headers, sent)] = upstream.asked
    assert (method, target, sent) == ("PATCH", "/v2/a/b/blobs/uploads/1?_state=x%20y", b"z" * 100_000)
    assert headers["Content-Range"] == "0-99999"
    assert "Authorization" not in headers
    assert "X-Other" not in headers


async def test_head_keeps_the_length_that_upstream_told(session: ClientSession, upstream: _Upstream) -> None:
    async with session.head("/v2/a/b/manifests/latest", headers=_KNOWN) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == "7"
        assert answer.headers["Docker-Content-Digest"] == "sha256:x"
    assert upstream.asked[0][0] == "HEAD"


async def test_controld_out_of_reach_is_a_clear_503(session: ClientSession, upstream: _Upstream) -> None:
    upstream.down = True
    async with session.get("/v2/", headers=_KNOWN) as answer:
        assert answer.status == web.HTTPServiceUnavailable.status_code
        assert (await answer.json())["code"] == "unavailable"
