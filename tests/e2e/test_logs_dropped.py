"""Viewers of a log that leave in every ugly way leave nothing behind, and slow nobody while they are there."""

from __future__ import annotations

import asyncio

import pytest

from client.api import Api
from tests.consoles import Place
from tests.e2e.platform import Platform, await_read, deploy_site, pack_site, put_service
from tests.ugly_viewers import await_traces, leave_together, watching

pytestmark = pytest.mark.timeout(300)

_VIEWERS = 200
_TALKATIVE = (
    '["/bin/sh", "-c", "/bin/busybox httpd -p 8080 -h /www; '
    'while true; do /bin/busybox seq 1 50; /bin/busybox sleep 0.1; done"]'
)


async def test_viewers_share_one_follower_and_leave_nothing_in_whatever_way_they_leave(
    platform: Platform, api: Api
) -> None:
    service = await put_service(api, "watched")
    deployment = await deploy_site(api, service, await pack_site("hello", command=_TALKATIVE))
    assert deployment.status == "Healthy", deployment.reason
    place = Place(platform.api_url, platform.token, service.id)
    async with watching(place) as first:
        await first.read(20)
    await await_read(place)
    before = await await_traces(platform, lambda seen: (seen.streams, seen.followers) == (0, 0))

    together = asyncio.Event()
    leaving = asyncio.ensure_future(leave_together(place, count=_VIEWERS, together=together))
    try:
        there = await await_traces(
            platform, lambda seen: (seen.streams, seen.upstreams, seen.viewers) == (_VIEWERS, 1, 1), seconds=120
        )
    finally:
        together.set()
        async with asyncio.timeout(120):
            await leaving
    await await_traces(
        platform,
        lambda seen: (
            (seen.streams, seen.upstreams, seen.viewers, seen.followers) == (0, 0, 0, 0)
            and seen.agent_files <= before.agent_files + 3
            and seen.controld_files <= before.controld_files + 3
        ),
        seconds=90,  # connections between the daemons are kept for a while, in case they are of use
    )

    assert there.followers == 1
    assert there.controld_files >= before.controld_files + _VIEWERS
