"""The engine's JSON streams: bytes in, records out, and the lines that people read from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_RECORD_BYTES = 4 * 1024 * 1024
_LINE_CHARACTERS = 16 * 1024


class JsonLines:
    """Splits a stream into its JSON objects; a line that is no object, or is beyond 4 MiB, is passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that these bytes complete, in order."""
        *complete, rest = data.split(b"\n")
        records = []
        for piece in complete:
            self._buffer += piece
            records += self._parse()
        self._buffer += rest
        if len(self._buffer) > _RECORD_BYTES:
            self._buffer.clear()
            self._too_long = True
        return records

    def finish(self) -> list[dict[str, Any]]:
        """The object that ended with the stream instead of a line feed."""
        return self._parse()

    def _parse(self) -> list[dict[str, Any]]:
        line, too_long = bytes(self._buffer), self._too_long
        self._buffer.clear()
        self._too_long = False
        if too_long or not line.strip():
            return []
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return []
        return [record] if isinstance(record, dict) else []


class BuildLines:
    """Lines of a build's output from its records; a line beyond 16 Ki characters is cut there."""

    def __init__(self) -> None:
        self._text = ""
        self._progress = ProgressLines()

    def feed(self, record: Mapping[str, Any]) -> list[str]:
        """The lines that this record completes."""
        stream = record.get("stream")
        if not isinstance(stream, str):
            return self._progress.feed(record)
        *complete, self._text = (self._text + stream).split("\n")
        while len(self._text) > _LINE_CHARACTERS:
            complete.append(self._text[:_LINE_CHARACTERS])
            self._text = self._text[_LINE_CHARACTERS:]
        return [line.rstrip("\r") for line in complete]

    def finish(self) -> list[str]:
        """The line that was begun and not ended."""
        text, self._text = self._text, ""
        return [text] if text else []


class ProgressLines:
    """Lines of a pull's or push's progress: one whenever a layer enters another phase, none for each byte."""

    def __init__(self) -> None:
        self._phases: dict[str, str] = {}

    def feed(self, record: Mapping[str, Any]) -> list[str]:
        """The line that this record is worth, if any."""
        status = record.get("status")
        if not isinstance(status, str):
            return []
        layer = record.get("id")
        if not isinstance(layer, str):
            return [status]
        if self._phases.get(layer) == status:
            return []
        self._phases[layer] = status
        return [f"{layer}: {status}"]


def find_error(record: Mapping[str, Any]) -> str | None:
    """The sentence of a record that tells of a failure, or None."""
    detail = record.get("errorDetail")
    if isinstance(detail, Mapping) and isinstance(detail.get("message"), str):
        return str(detail["message"])
    error = record.get("error")
    return error if isinstance(error, str) else None
