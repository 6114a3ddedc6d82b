"""Turns bodies and query strings into the types that a route names, and failures into faults made for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from kit.faults import BadSyntax, Invalid, Malformed

_AT = re.compile(r"^(?P<why>.*) - at `(?P<key>key in )?\$(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]*)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>[^`]*)`$")


def body_decoder(shape: Any) -> Callable[[bytes], Any]:
    """A function from the bytes of a JSON body to the shape; it raises BadSyntax or Malformed."""
    decoder = msgspec.json.Decoder(shape)

    def decode(data: bytes) -> Any:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError as error:
            where, why = explain(str(error))
            raise Malformed(f"cannot read body: {_sentence(where, why)}", details={"field": where}) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadSyntax(f"cannot read body: it is not valid JSON ({_lowered(str(error))})") from error

    return decode


def query_decoder(shape: type[msgspec.Struct]) -> Callable[[str], Any]:
    """A function from a query string to the struct; it raises Invalid.

    A field that is a list takes every occurrence of its name; any other takes the last.
    """
    lists = frozenset(_list_fields(shape))

    def decode(text: str) -> Any:
        found: dict[str, str | list[str]] = {}
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError as error:
            raise Invalid("cannot read query: it is not form encoded UTF-8 with at most 100 fields") from error
        for name, value in pairs:
            if name in lists:
                values = found.setdefault(name, [])
                if isinstance(values, list):
                    values.append(value)
            else:
                found[name] = value
        try:
            return msgspec.convert(found, shape, strict=False)
        except msgspec.ValidationError as error:
            where, why = explain(str(error))
            raise Invalid(f"cannot read query: {_sentence(where, why)}", details={"field": where}) from error

    return decode


def explain(message: str) -> tuple[str, str]:
    """The path of the field ("" for the whole) and what is wrong with it, from msgspec's message."""
    where, why = "", message
    if found := _AT.match(message):
        where, why = found["path"].removeprefix("."), found["why"]
        if found["key"]:
            why = f"bad key: {why}"
    for pattern, words in ((_MISSING, "is required"), (_UNKNOWN, "is not a known field")):
        if named := pattern.match(why):
            return (f"{where}.{named['name']}" if where else named["name"]), words
    return where, _lowered(why.replace("`", ""))


def _sentence(where: str, why: str) -> str:
    if not where:
        return why
    return f"{where} {why}" if why.startswith("is ") else f"{where}: {why}"


def _lowered(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _list_fields(shape: type[msgspec.Struct]) -> Iterable[str]:
    info = msgspec.inspect.type_info(shape)
    if not isinstance(info, msgspec.inspect.StructType):
        raise TypeError(f"cannot decode a query into {shape!r}: it is not a struct")
    kinds = (msgspec.inspect.ListType, msgspec.inspect.SetType, msgspec.inspect.VarTupleType)
    for member in info.fields:
        options = member.type.types if isinstance(member.type, msgspec.inspect.UnionType) else (member.type,)
        if any(isinstance(option, kinds) for option in options):
            yield member.encode_name
