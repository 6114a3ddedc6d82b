"""The engine's JSON streams: cuts, garbage, progress and errors."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rules.engine_stream import BuildLines, JsonLines, ProgressLines, find_error

records = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=3), max_size=6)


@given(records, st.lists(st.integers(0, 400), max_size=10), st.sampled_from([b"\n", b"\r\n"]))
def test_objects_come_back_however_the_bytes_are_cut(said: list[dict[str, Any]], cuts: list[int], end: bytes) -> None:
    data = b"".join(json.dumps(record).encode() + end for record in said)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    lines = JsonLines()
    assert [record for a, b in pairwise(edges) for record in lines.feed(data[a:b])] == said
    assert lines.finish() == []


@pytest.mark.parametrize(
    "garbage",
    [b"{", b"nonsense", b"[1]", b"null", b"\xff\xfe", b"", b"[" * 100_000, b'"' + b"x" * 5_000_000 + b'"'],
    ids=["cut", "words", "list", "null", "bytes", "empty", "deep", "endless"],
)
def test_garbage_is_passed_over_and_what_follows_is_read(garbage: bytes) -> None:
    lines = JsonLines()
    data = b'{"a":1}\n' + garbage + b'\n{"b":2}\n{"c":3}'
    got = [record for start in range(0, len(data), 65536) for record in lines.feed(data[start : start + 65536])]
    assert [*got, *lines.finish()] == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_build_output_is_told_line_by_line() -> None:
    lines = BuildLines()
    said: list[dict[str, Any]] = [
        {"stream": "Step 1/2 : FROM x\n"},
        {"stream": "one\r\ntw"},
        {"stream": "o\n"},
        {"aux": {"ID": "sha256:1"}},
        {"status": "Downloading", "id": "layer"},
        {"stream": "rest"},
    ]
    assert [line for record in said for line in lines.feed(record)] == [
        "Step 1/2 : FROM x",
        "one",
        "two",
        "layer: Downloading",
    ]
    assert lines.finish() == ["rest"]
    assert lines.finish() == []


def test_a_build_that_never_ends_its_line_is_told_in_pieces() -> None:
    lines = BuildLines()
    got = lines.feed({"stream": "x" * 40_000})
    assert [len(line) for line in got] == [16_384, 16_384]
    assert len(lines.finish()[0]) == 40_000 - 2 * 16_384


def test_progress_tells_each_phase_of_a_layer_once() -> None:
    lines = ProgressLines()
    said: list[dict[str, Any]] = [
        {"status": "Pulling from a/b", "id": "1.0"},
        {"status": "Downloading", "id": "l1", "progress": "[> ]"},
        {"status": "Downloading", "id": "l1", "progress": "[=>]"},
        {"status": "Pull complete", "id": "l1"},
        {"status": "Digest: sha256:1"},
        {"status": 7},
    ]
    assert [line for record in said for line in lines.feed(record)] == [
        "1.0: Pulling from a/b",
        "l1: Downloading",
        "l1: Pull complete",
        "Digest: sha256:1",
    ]


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"errorDetail": {"message": "why"}, "error": "other"}, "why"),
        ({"error": "why"}, "why"),
        ({"errorDetail": "odd", "error": 1}, None),
        ({"stream": "error"}, None),
    ],
)
def test_the_sentence_of_a_failure_is_found(record: dict[str, Any], sentence: str | None) -> None:
    assert find_error(record) == sentence
