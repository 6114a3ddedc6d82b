"""One dump tells the counters of every link, the same as a full-grown netlink library reads."""

from __future__ import annotations

import asyncio
import os

from pyroute2 import IPRoute

from agent.host.links import LinkCounters


async def test_the_links_and_their_counters_are_those_the_library_tells() -> None:
    links = LinkCounters()

    def read_both() -> tuple[dict[int, tuple[int, int]] | None, dict[int, tuple[int, int]]]:
        with IPRoute() as route:
            told = {
                link["index"]: (
                    link.get_attr("IFLA_STATS64")["rx_bytes"],
                    link.get_attr("IFLA_STATS64")["tx_bytes"],
                )
                for link in route.get_links()
            }
        return links.read(), told

    found, told = await asyncio.to_thread(read_both)
    links.close()

    assert found is not None
    shared = found.keys() & told.keys()
    assert 1 in shared
    assert all(found[link][0] >= told[link][0] and found[link][1] >= told[link][1] for link in shared)


async def test_a_process_of_this_namespace_has_no_link_of_its_own() -> None:
    links = LinkCounters()
    found = await asyncio.to_thread(links.find, [os.getpid(), 2**22 + 5])
    links.close()

    assert found == {}


async def test_a_socket_that_breaks_is_opened_again() -> None:
    links = LinkCounters()
    assert await asyncio.to_thread(links.read) is not None
    assert links._socket is not None
    links._socket.close()
    broken = await asyncio.to_thread(links.read)
    mended = await asyncio.to_thread(links.read)
    links.close()

    assert broken is None
    assert mended
