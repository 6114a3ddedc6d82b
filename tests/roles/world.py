"""Two projects with one of everything in each, and how a route is tried in them."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import ClientResponse, ClientSession

from kit.http.surface import Route
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.roles.callers import ADMITTED, FORBIDDEN, HIDDEN, UNKNOWN, Who

SETUP: Final = bearer(SETUP_SECRET)
NOWHERE: Final = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"

Ids = Mapping[str, str]
"""What is in a place, by the name of the parameter that takes it: `service_id`, `project_id`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """A served `/v1` and the two places in it; members are members of `home`."""

    app: App
    http: ClientSession
    home: Ids
    elsewhere: Ids
    numbers: itertools.count[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    async def make(self, method: str, path: str, body: Any = None) -> Any:
        """What the holder of the setup secret is answered; it has to work."""
        status, made = await ask(self.http, method, path, body, headers=SETUP)
        assert status < 300, (method, path, made)
        return made


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """How one route is asked so that whoever is admitted gets one of `statuses` (absent: the route's own).

    `query` may name ids as `{service_id}`; `body` is JSON and `headers` are more headers, both made of the ids; `data`
    is a body as it is. `ids` replaces parameters of the path for good; `fresh` makes what each admitted caller may use
    up, and returns the ids that name it.
    """

    body: Callable[[Ids], Any] | None = None
    data: bytes | None = None
    query: str = ""
    headers: Callable[[Ids], Mapping[str, str]] = lambda _: {}
    statuses: tuple[int, ...] = ()
    ids: Ids = dataclasses.field(default_factory=dict)
    fresh: Callable[[World, Who], Awaitable[Ids]] | None = None
    refusal: int = 403
    """The status that says forbidden; 409 where the contract has the setup secret told that it is nobody."""


async def try_route(
    world: World, route: Route, probe: Probe, *, path: str, ids: Ids, headers: Mapping[str, str]
) -> tuple[str, int, bytes]:
    """What a caller learns of the route at this path, with the status and the body behind it."""
    filled = fill(path, ids)
    body = None if probe.body is None else probe.body(ids)
    method = "HEAD" if route.stream == "text/event-stream" else route.method
    filled += fill(probe.query, ids)
    sent = {**headers, **probe.headers(ids)}
    async with world.http.request(
        method, filled, json=body, data=probe.data, headers=sent, allow_redirects=False
    ) as answer:
        told = await answer.read()
    return _read(answer, told, probe), answer.status, told


def fill(path: str, ids: Ids) -> str:
    """The path with its parameters."""
    return re.sub(r"\{([a-z_]+)[^{}]*\}", lambda found: ids[found[1]], path)


def names_in(path: str) -> list[str]:
    """The parameters of a path that are ids, in order."""
    return [name for name in re.findall(r"\{([a-z_]+)", path) if name == "id" or name.endswith("_id")]


def _read(answer: ClientResponse, told: bytes, probe: Probe) -> str:
    if answer.status == 401:
        return UNKNOWN if not told else FORBIDDEN
    if answer.status == 403 or (answer.status == probe.refusal and b'"not_a_person"' in told):
        return FORBIDDEN
    return HIDDEN if answer.status == 404 else ADMITTED
