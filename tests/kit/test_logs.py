"""A log line stays one line and says its fields."""

from __future__ import annotations

import logging

import pytest

from kit.logs import FieldFormatter


def _format(message: str, **fields: object) -> str:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": message, **fields})
    return FieldFormatter().format(record)


def test_fields_follow_the_message() -> None:
    assert _format("node joined", node="n1", count=2).endswith("INFO x node joined node=n1 count=2")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("two words", '"two words"'), ("a\nb", '"a\\nb"'), ('say "x"', '"say \\"x\\""'), ("", '""'), ("a=b", '"a=b"')],
)
def test_a_value_that_would_break_the_line_is_quoted(value: str, shown: str) -> None:
    line = _format("event", field=value)
    assert line.endswith(f"event field={shown}")
    assert "\n" not in line
