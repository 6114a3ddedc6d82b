"""Says of every moment in a document's schemas that it is one, which msgspec leaves out of those it only writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec.inspect as types


def mark_moments(shapes: Sequence[Any], components: Mapping[str, Any]) -> None:
    """Give each field of the components that holds a moment the format `date-time`."""
    for struct in _structs(types.multi_type_info(shapes)):
        schema = components.get(struct.cls.__name__) or components.get(f"{struct.cls.__module__}.{struct.cls.__name__}")
        properties = {} if schema is None else schema.get("properties", {})
        for field in struct.fields:
            if field.encode_name in properties and any(isinstance(each, types.DateTimeType) for each in _parts(field)):
                _mark(properties[field.encode_name])


def _mark(schema: dict[str, Any]) -> None:
    for each in [schema, *schema.get("anyOf", ())]:
        if each.get("type") == "string":
            each["format"] = "date-time"


def _parts(field: types.Field) -> tuple[types.Type, ...]:
    return field.type.types if isinstance(field.type, types.UnionType) else (field.type,)


def _structs(roots: Iterable[types.Type]) -> Iterator[types.StructType]:
    """Every struct that the types reach, each once."""
    seen: set[type] = set()
    left: list[Any] = list(roots)
    while left:
        each = left.pop()
        if isinstance(each, types.StructType):
            if each.cls in seen:
                continue
            seen.add(each.cls)
            yield each
            left += [field.type for field in each.fields]
        elif isinstance(each, types.UnionType):
            left += each.types
        elif isinstance(each, types.TupleType):
            left += each.item_types
        elif isinstance(each, types.DictType):
            left.append(each.value_type)
        elif isinstance(each, (types.ListType, types.VarTupleType, types.SetType, types.FrozenSetType)):
            left.append(each.item_type)
        elif isinstance(each, types.Metadata):
            left.append(each.type)
