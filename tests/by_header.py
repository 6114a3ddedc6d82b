"""A surface whose callers are told by a header, where its own way of telling them needs TLS."""

from __future__ import annotations

import dataclasses
from typing import Final

from aiohttp import web

from kit.faults import Unauthenticated
from kit.http.surface import Surface
from tests.battery import Subject

_HEADER: Final = "X-Test-Caller"


def subject_by_header(surface: Surface, *, caller: object) -> Subject:
    """The surface for the battery; the good caller is `caller`."""

    async def authenticate(request: web.Request) -> object | None:
        match request.headers.get(_HEADER):
            case None:
                return None
            case "known":
                return caller
            case _:
                raise Unauthenticated("cannot answer: no such caller")

    return Subject(
        surface=dataclasses.replace(surface, authenticate=authenticate),
        credential={_HEADER: "known"},
        foreign={_HEADER: "stranger"},
    )
