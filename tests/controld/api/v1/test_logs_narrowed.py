"""Questions to a service's log over HTTP: by moment, replica and text, as text or with all that is known of a line."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlencode

import msgspec
import pytest

from controld.api.v1.logs import UNREACHABLE_HEADER
from kit.clock import SystemClock
from tests.controld.api.v1.test_logs import ADMIN, NOW, count, data_of, ground, id_of, path, read_events
from tests.controld.app import App, ask
from tests.controld.deploying import Ground

__all__ = ["ground"]

REPLICAS = ("0" * 8 + "-0000-7000-8000-000000000001", "0" * 8 + "-0000-7000-8000-000000000002")


def write(ground: Ground, total: int) -> list[str]:
    """Lines by turns on two nodes, a second apart, each third of them an error."""
    lines = [f"{'ERROR' if number % 3 == 0 else 'info'} {number}" for number in range(total)]
    for number, line in enumerate(lines):
        node = number % 2
        at = NOW + dt.timedelta(seconds=number)
        ground.app.agents.logs[ground.nodes[node]].write(line, at=at, replica_id=REPLICAS[node], index=node)
    return lines


def moment(second: int) -> str:
    return (NOW + dt.timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


def asked(ground: Ground, rest: str = "", /, **query: object) -> str:
    return path(ground, f"{rest}?{urlencode(query, doseq=True)}")


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"tail": 3}, [27, 28, 29]),
        ({"tail": 0}, []),
        ({"since": moment(25)}, [25, 26, 27, 28, 29]),
        ({"since": moment(10), "until": moment(13)}, [10, 11, 12]),
        ({"until": moment(5), "tail": 2}, [3, 4]),
        ({"grep": "ERROR", "tail": 2}, [24, 27]),
        ({"grep": "error", "tail": 2}, []),
        ({"grep": "error", "ignore_case": "true", "tail": 2}, [24, 27]),
        ({"grep_regex": "^info [12]5$"}, [25]),
        ({"replica": 1, "tail": 2}, [27, 29]),
        ({"replica": REPLICAS[0], "tail": 2}, [26, 28]),
        ({"replica": [REPLICAS[0].upper(), 1], "tail": 2}, [28, 29]),
        ({"replica": 7}, []),
        ({"replica": 1, "grep": "ERROR", "since": moment(9), "until": moment(22)}, [9, 15, 21]),
    ],
)
async def test_lines_are_found_by_moment_replica_and_text(
    app: App, ground: Ground, query: dict[str, object], numbers: list[int]
) -> None:
    lines = write(ground, 30)
    expected = [lines[number] for number in numbers]
    async with app.serve() as http:
        assert await ask(http, "GET", asked(ground, **query), headers=ADMIN) == (200, expected)
        if not numbers:
            return
        until = {"until": moment(100), "tail": 200, **query}
        events = await read_events(
            http, asked(ground, "/stream", **until), until=lambda found: b"event: end" in found[-1]
        )
        assert [data_of(event) for event in events[:-1]] == ([] if until["tail"] == 0 else expected)


async def test_a_duration_counts_back_from_now(app: App, ground: Ground) -> None:
    log = ground.app.agents.logs[ground.nodes[0]]
    log.write("old", at=SystemClock().now() - dt.timedelta(minutes=16))
    log.write("new", at=SystemClock().now() - dt.timedelta(minutes=14))
    async with app.serve() as http:
        assert await ask(http, "GET", asked(ground, since="15m"), headers=ADMIN) == (200, ["new"])
        assert await ask(http, "GET", asked(ground, since="1h", until="15m"), headers=ADMIN) == (200, ["old"])


async def test_a_program_gets_moment_replica_and_stream_of_each_line(app: App, ground: Ground) -> None:
    write(ground, 2)
    async with app.serve() as http:
        status, told = await ask(http, "GET", asked(ground, format="json"), headers=ADMIN)
        assert status == 200
        assert told[1] == {
            "id": told[1]["id"],
            "recorded_at": "2026-01-01T00:00:01Z",
            "node_id": ground.nodes[1],
            "replica_id": REPLICAS[1],
            "replica_index": 1,
            "stream": "stdout",
            "text": "info 1",
            "partial": False,
        }
        events = await read_events(http, asked(ground, "/stream", format="json"), until=count(2))
        assert [msgspec.json.decode(data_of(event)) for event in events] == told
        behind = {"Last-Event-ID": told[0]["id"]}
        resumed = await read_events(http, path(ground, "/stream"), until=count(1), headers=behind)
        assert [data_of(event) for event in resumed] == ["info 1"]
        stamped = await ask(http, "GET", asked(ground, timestamps="true", tail=1), headers=ADMIN)
        assert stamped == (200, ["2026-01-01T00:00:01.000000Z info 1"])


async def test_a_narrowed_stream_is_resumed_behind_each_of_its_lines(app: App, ground: Ground) -> None:
    lines = write(ground, 30)
    errors = lines[::3]
    query = {"grep": "ERROR", "since": moment(3), "until": moment(100)}
    async with app.serve() as http:
        events = await read_events(http, asked(ground, "/stream", **query), until=count(10))
        assert [data_of(event) for event in events] == [*errors[1:], "2026-01-01T00:01:40.000000Z"]
        for number, event in enumerate(events[:-1]):
            last = {"Last-Event-ID": id_of(event)}
            left = len(events) - number - 1
            again = await read_events(http, asked(ground, "/stream", **query), until=count(left), headers=last)
            assert [data_of(each) for each in again] == [data_of(each) for each in events[number + 1 :]]


async def test_whoever_resumes_needs_not_say_again_since_when(app: App, ground: Ground) -> None:
    first, second = (ground.app.agents.logs[node] for node in ground.nodes)
    second.write("too old", at=SystemClock().now() - dt.timedelta(minutes=30))
    first.write("seen", at=SystemClock().now() - dt.timedelta(minutes=5))
    async with app.serve() as http:
        (event,) = await read_events(http, asked(ground, "/stream", since="15m"), until=count(1))
        second.write("missed", at=SystemClock().now() - dt.timedelta(minutes=4))
        last = {"Last-Event-ID": id_of(event)}
        again = await read_events(http, asked(ground, "/stream", since="1m"), until=count(1), headers=last)
        assert [data_of(each) for each in again] == ["missed"]


async def test_a_node_that_is_away_is_named_in_what_was_found(app: App, ground: Ground) -> None:
    write(ground, 9)
    app.agents.offline.add(ground.nodes[1])
    async with app.serve() as http:
        async with http.get(asked(ground, grep="ERROR"), headers=ADMIN) as answer:
            assert await answer.json() == ["ERROR 0", "ERROR 6"]
            assert answer.headers[UNREACHABLE_HEADER] == "node-2"
        events = await read_events(http, asked(ground, "/stream", grep="ERROR", until=moment(9)), until=count(4))
        assert [data_of(event) for event in events[:2]] == ["ERROR 0", "ERROR 6"]
        assert b"event: notice" in events[2]
        assert "node-2" in data_of(events[2])
        assert b"event: end" in events[3]


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"until": "2026-01-01"},
        {"since": moment(2), "until": moment(2)},
        {"since": "5m", "until": "10m"},
        {"tail": -1},
        {"tail": 10_001},
        {"grep_regex": "("},
        {"grep_regex": "(x{1000}){1000}"},
        {"grep": "x" * 1001},
        {"replica": "web"},
        {"replica": "-1"},
        {"format": "xml"},
        {"ignore_case": "perhaps"},
    ],
)
async def test_a_question_that_is_none_is_refused(app: App, ground: Ground, query: dict[str, object]) -> None:
    async with app.serve() as http:
        for rest in ("", "/stream"):
            status, body = await ask(http, "GET", asked(ground, rest, **query), headers=ADMIN)
            assert (status, body["code"]) == (400, "invalid")
