"""Consoles that are dropped in every ugly way leave nothing behind; row 7b of `benchmarks/` drops a thousand."""

from __future__ import annotations

import aiohttp
import pytest

from tests.e2e.platform import Platform, await_read, make_place
from tests.ugly_consoles import WAYS, await_traces, open_and_drop, read_traces, settle_down

pytestmark = pytest.mark.timeout(300)

_ROUNDS = 4


async def test_consoles_dropped_in_every_way_leave_no_process_no_exec_and_no_descriptor(platform: Platform) -> None:
    place = await make_place(platform, "dropped")
    (container,) = await platform.containers(service_id=place.service_id)
    async with aiohttp.ClientSession() as http:
        await settle_down(http, place)
        await await_read(place)
        before = await read_traces(platform, container)
        await open_and_drop(http, place, count=_ROUNDS * len(WAYS))
        await settle_down(http, place)
        await await_traces(platform, container, before=before, spare_files=3)
