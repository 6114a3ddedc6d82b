"""The access log of a real HAProxy, read by the agent or by nobody."""

from __future__ import annotations

import asyncio
import grp
import json
import socket
import stat
from pathlib import Path

import aiohttp
import pytest

from agent.host.haproxy.access_log import AccessLogReader
from agent.model.ingress import Route, Server
from agent.model.requests import AccessEntry
from kit.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.haproxy import RunningHaproxy, Upstream, get, state, who
from tests.waiting import eventually

LINE = (
    b'{"at_ms":1,"host":"a.test","route":"svc-1","server":"r1","method":"GET","path":"/","status":200,"bytes":1,'
    b'"duration_ms":1,"end":"--"}\n'
)


async def read(haproxy: RunningHaproxy, entries: list[AccessEntry]) -> AccessLogReader:
    reader = AccessLogReader(haproxy.paths.access_log_socket, entries.append, clock=SystemClock())
    await reader.open()
    return reader


async def arrived(entries: list[AccessEntry], count: int) -> None:
    async def enough() -> bool:
        return len(entries) >= count

    await eventually(enough)


async def test_requests_to_services_arrive_with_route_and_replica_and_no_secrets(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    entries: list[AccessEntry] = []
    reader = await read(haproxy, entries)
    await haproxy.driver().apply(
        state(
            Route(key="svc-1", hosts=("a.test",), servers=(pair[0].server(),)),
            Route(key="svc-2", hosts=("empty.test",)),
        )
    )
    await get(haproxy, "nobody.test")
    _, body, _ = await get(haproxy, "A.test:80", "/u/0190b3e4-8c1f-7c3a-9b1e-2f5d8f6a7b8c?token=secret")
    await get(haproxy, "empty.test")
    await arrived(entries, 2)
    await reader.close()
    first, second = entries
    assert (first.route, first.host, first.replica) == ("svc-1", "a.test", "r1")
    assert (first.method, first.path, first.status, first.termination) == ("GET", "/u/{id}", 200, "--")
    assert first.bytes > len(body)
    assert first.duration_ms is not None
    assert abs((SystemClock().now() - first.recorded_at).total_seconds()) < 60
    assert (second.route, second.replica, second.status) == ("svc-2", None, 503)


async def test_a_request_whose_client_leaves_early_has_status_0(haproxy: RunningHaproxy, pair: list[Upstream]) -> None:
    entries: list[AccessEntry] = []
    reader = await read(haproxy, entries)
    await haproxy.driver().apply(state(Route(key="svc-1", hosts=("a.test",), servers=(pair[0].server(),))))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as session:
        with pytest.raises(TimeoutError):
            await session.get(haproxy.url + "/?sleep=2", headers={"Host": "a.test"})
    await arrived(entries, 1)
    await reader.close()
    assert entries[0].status == 0
    assert entries[0].termination.startswith("C")


@pytest.mark.parametrize("path", [b"/a\\b]\"{'\x7f", b"/%0a%22?x", b"/caf\xc3\xa9", b"//a//", b"/" + b"x" * 3000])
async def test_odd_paths_still_make_a_record(haproxy: RunningHaproxy, pair: list[Upstream], path: bytes) -> None:
    entries: list[AccessEntry] = []
    reader = await read(haproxy, entries)
    await haproxy.driver().apply(state(Route(key="svc-1", hosts=("a.test",), servers=(pair[0].server(),))))
    source, sink = await asyncio.open_connection("127.0.0.1", haproxy.port)
    sink.write(b"GET " + path + b" HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
    status = int((await source.read()).split()[1])
    sink.close()
    await sink.wait_closed()
    await get(haproxy, "a.test", "/last")
    await arrived(entries, 1 if status == 400 else 2)
    await reader.close()
    assert entries[-1].path == "/last"
    assert reader.unreadable == (1 if status == 400 else 0)


async def test_a_reader_that_comes_back_reads_on_and_traffic_never_waited(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    entries: list[AccessEntry] = []
    await haproxy.driver().apply(state(Route(key="svc-1", hosts=("a.test",), servers=(pair[0].server(),))))
    first = await read(haproxy, entries)
    await get(haproxy, "a.test", "/1")
    await arrived(entries, 1)
    await first.close()
    for _ in range(30):
        assert await who(haproxy, "a.test") == "r1"
    second = await read(haproxy, entries)
    await get(haproxy, "a.test", "/2")
    await arrived(entries, 2)
    await second.close()
    assert [entry.path for entry in entries] == ["/1", "/2"]


async def test_haproxy_counts_what_a_stuck_reader_leaves_in_the_socket(
    haproxy: RunningHaproxy, pair: list[Upstream]
) -> None:
    await haproxy.driver().apply(state(Route(key="svc-1", hosts=("a.test",), servers=(pair[0].server(),))))
    room = int(await asyncio.to_thread(Path("/proc/sys/net/unix/max_dgram_qlen").read_text))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stuck:
        stuck.bind(str(haproxy.paths.access_log_socket))
        async with aiohttp.ClientSession() as session:
            for _ in range(room + 5):
                async with session.get(haproxy.url, headers={"Host": "a.test"}) as answer:
                    assert answer.status == 200
        assert (await haproxy.driver().observe()).dropped_logs > 0


async def test_a_new_reader_takes_the_path_from_one_that_was_left_behind(tmp_path: Path) -> None:
    entries: list[AccessEntry] = []
    old = AccessLogReader(tmp_path / "log", lambda entry: None, clock=SystemClock())
    new = AccessLogReader(tmp_path / "log", entries.append, clock=SystemClock())
    await old.open()
    await new.open()
    _send(tmp_path / "log", LINE)
    await arrived(entries, 1)
    await old.close()
    await new.close()


async def test_malformed_datagrams_are_counted_and_end_nothing(tmp_path: Path) -> None:
    entries: list[AccessEntry] = []
    reader = AccessLogReader(tmp_path / "log", entries.append, clock=SystemClock())
    await reader.open()
    for datagram in (b"nonsense", b"\xff" * 100, b"{}", LINE):
        _send(tmp_path / "log", datagram)
    await arrived(entries, 1)
    await reader.close()
    assert (reader.unreadable, reader.entries) == (3, 1)


async def test_more_than_the_rate_is_dropped_and_counted_until_the_next_second(tmp_path: Path) -> None:
    clock = FakeClock()
    entries: list[AccessEntry] = []
    reader = AccessLogReader(tmp_path / "log", entries.append, clock=clock, entries_per_second=2)
    await clock.advance(5)
    await reader.open()
    for _ in range(5):
        _send(tmp_path / "log", LINE)

    async def taken() -> bool:
        return reader.entries + reader.dropped == 5

    await eventually(taken)
    assert (len(entries), reader.dropped) == (2, 3)
    await clock.advance(1)
    _send(tmp_path / "log", LINE)
    await arrived(entries, 3)
    await reader.close()


async def test_the_log_line_is_json(haproxy: RunningHaproxy) -> None:
    await haproxy.driver().apply(
        state(Route(key="svc-1", hosts=("a.test",), servers=(Server(name="gone", address="127.0.0.1", port=1),)))
    )
    path = haproxy.paths.access_log_socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(10)
        await get(haproxy, "a.test", '/a"b\\c')
        line = json.loads(await asyncio.to_thread(receiver.recv, 8192))
    assert line["status"] == 503
    assert line["route"] == "svc-1"


def _send(path: Path, datagram: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(datagram, str(path))


async def test_the_group_that_is_named_may_send_to_the_socket(tmp_path: Path) -> None:
    reader = AccessLogReader(tmp_path / "access.sock", print, clock=FakeClock(), group="nogroup")
    await reader.open()
    await reader.close()
    made = (tmp_path / "access.sock").stat()
    assert (made.st_gid, stat.S_IMODE(made.st_mode)) == (grp.getgrnam("nogroup").gr_gid, 0o660)


async def test_a_group_that_nobody_knows_is_told_by_name(tmp_path: Path) -> None:
    reader = AccessLogReader(tmp_path / "access.sock", print, clock=FakeClock(), group="no-such-group")
    with pytest.raises(ValueError, match="no-such-group"):
        await reader.open()
