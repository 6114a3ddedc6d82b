"""Challenges are answered for their host alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from agent.api.auth import authenticate_nobody
from agent.api.challenges import Challenges
from agent.api.envelope import render_fault
from kit.http.surface import Surface
from tests.serving import serve
from wire.spec import Challenge

_WANTED = (
    Challenge(path="/.well-known/denia-challenge/abc", body="abc", host="web.example.com"),
    Challenge(path="/.well-known/acme-challenge/tok", body="tok.thumb"),
)


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    surface = Surface(
        name="loopback",
        title="Loopback",
        version="1",
        claims=("/.well-known",),
        routes=Challenges(lambda: _WANTED).routes(),
        authenticate=authenticate_nobody,
        render_fault=render_fault,
    )
    async with serve(surface) as session:
        yield session


async def test_a_bound_challenge_is_answered_to_its_host_with_any_port(session: ClientSession) -> None:
    for host in ("web.example.com", "web.example.com:8080", "WEB.example.com"):
        async with session.get("/.well-known/denia-challenge/abc", headers={"Host": host}) as answer:
            assert (answer.status, await answer.text()) == (200, "abc")


async def test_another_host_or_token_gets_404(session: ClientSession) -> None:
    for path, host in (("abc", "other.example.com"), ("abd", "web.example.com")):
        async with session.get(f"/.well-known/denia-challenge/{path}", headers={"Host": host}) as answer:
            assert answer.status == 404


async def test_an_acme_challenge_is_answered_whatever_the_host(session: ClientSession) -> None:
    async with session.get("/.well-known/acme-challenge/tok") as answer:
        assert (answer.status, await answer.text()) == (200, "tok.thumb")
