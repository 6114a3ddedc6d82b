"""Failures to decode are told in words that name the field."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from kit.faults import BadSyntax, Invalid, Malformed
from kit.http.decode import body_decoder, query_decoder


class Port(msgspec.Struct, forbid_unknown_fields=True):
    port: int
    protocol: Literal["tcp", "udp"] = "tcp"


class Wanted(msgspec.Struct):
    name: str
    ports: list[Port] = []


class Search(msgspec.Struct):
    limit: int = 10
    follow: bool = False
    label: list[str] = []
    since: str | None = None


@pytest.mark.parametrize(
    ("body", "message", "field"),
    [
        (b"{}", "cannot read body: name is required", "name"),
        (b'{"name": 1}', "cannot read body: name: expected str, got int", "name"),
        (b'{"name": "a", "ports": [{}]}', "cannot read body: ports[0].port is required", "ports[0].port"),
        (
            b'{"name": "a", "ports": [{"port": 1, "protocol": "x"}]}',
            "cannot read body: ports[0].protocol: invalid enum value 'x'",
            "ports[0].protocol",
        ),
        (
            b'{"name": "a", "ports": [{"port": 1, "x": 2}]}',
            "cannot read body: ports[0].x is not a known field",
            "ports[0].x",
        ),
        (b"[]", "cannot read body: expected object, got array", ""),
    ],
)
def test_a_body_of_the_wrong_shape_names_its_field(body: bytes, message: str, field: str) -> None:
    with pytest.raises(Malformed) as caught:
        body_decoder(Wanted)(body)
    assert caught.value.message == message
    assert caught.value.details == {"field": field}


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b'{"name": "\xff"}', b'{"name": "a"} trailing'])
def test_a_body_that_is_no_json_is_bad_syntax(body: bytes) -> None:
    with pytest.raises(BadSyntax, match="it is not valid JSON"):
        body_decoder(Wanted)(body)


def test_an_abbreviation_keeps_its_capitals() -> None:
    with pytest.raises(BadSyntax, match="JSON is malformed"):
        body_decoder(Wanted)(b"{]")


def test_a_body_too_deep_to_read_is_bad_syntax() -> None:
    with pytest.raises(BadSyntax):
        body_decoder(object)(b"[" * 200_000)


def test_a_query_is_decoded_by_the_types_of_its_fields() -> None:
    found = query_decoder(Search)("limit=5&follow=true&label=a&label=b%20c&unknown=1")
    assert found == Search(limit=5, follow=True, label=["a", "b c"])


def test_the_last_of_a_repeated_single_field_counts() -> None:
    assert query_decoder(Search)("limit=5&limit=6").limit == 6


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=many", "cannot read query: limit: expected int, got str"),
        ("since=%ff", "cannot read query: it is not form encoded UTF-8 with at most 100 fields"),
        ("&".join(["a=1"] * 101), "cannot read query: it is not form encoded UTF-8 with at most 100 fields"),
    ],
)
def test_a_bad_query_is_invalid(query: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        query_decoder(Search)(query)
    assert caught.value.message == message
