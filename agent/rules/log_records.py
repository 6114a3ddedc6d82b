"""Records of the engine's json-file logs become lines: bytes of a file in, the lines out that its API would give."""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec

from agent.model.engine import EPOCH, LoggedLine, RawLine
from agent.rules.log_frames import Fragments
from agent.rules.log_lines import LINE_BYTES, render_lines

_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SURELY_SHORT: Final = LINE_BYTES // 4
"""So many characters are no more than `LINE_BYTES` bytes."""
_MOST_RECORD_BYTES: Final = 1024 * 1024
_STAMP_LENGTH: Final = len("2026-11-22T03:30:01.490573051Z")


class _Record(msgspec.Struct, gc=False):
    log: str
    time: str
    stream: str = "stdout"


_decoder: Final = msgspec.json.Decoder(_Record)


class LogRecords:
    """Reads the file from where a record begins, leaving out records stamped ahead of `since_usec`.

    Lines, pieces and stamps are those of `LogFrames`, so that a place in the one is a place in the other. What is no
    record, as a crash of the machine may leave it, is passed over.
    """

    def __init__(self, *, since_usec: int = 0) -> None:
        self._since_usec = since_usec
        self._rest = b""
        self._begun: dict[str, Fragments] = {}
        self._second = ""
        self._second_usec = 0

    def feed(self, data: bytes) -> list[LoggedLine]:
        """The lines that these bytes complete, in order."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest = self._rest + data if len(self._rest) < _MOST_RECORD_BYTES else b""
            return []
        whole, self._rest = self._rest + data[:end], data[end:]
        # The characters that need a look at each line are told by their escapes, once for all.
        is_plain = b"\\r" not in whole and b"\\u0000" not in whole
        lines: list[LoggedLine] = []
        add, since_usec, begun = lines.append, self._since_usec, self._begun
        second, second_usec = self._second, self._second_usec
        for record in _decode(whole):
            text, stamp = record.log, record.time
            if stamp[:20] == second and len(stamp) == _STAMP_LENGTH:
                usec = second_usec + int(stamp[20:26])
            else:
                usec = parse_stamp(stamp)
                if len(stamp) == _STAMP_LENGTH:
                    second, second_usec = stamp[:20], usec - int(stamp[20:26])
            if usec < since_usec:
                continue
            if is_plain and not begun and text[-1:] == "\n" and len(text) <= _SURELY_SHORT:
                add(LoggedLine(usec, record.stream, text[:-1]))
            else:
                lines += self._join(usec, record)
        self._second, self._second_usec = second, second_usec
        return lines

    def finish(self) -> list[LoggedLine]:
        """What was begun and not completed when the log ended."""
        lines = [line for fragments in self._begun.values() for line in fragments.flush()]
        self._begun.clear()
        return render_lines(lines)

    def _join(self, usec: int, record: _Record) -> list[LoggedLine]:
        fragments = self._begun.get(record.stream)
        if fragments is None:
            fragments = self._begun[record.stream] = Fragments(record.stream)
        lines: list[RawLine] = []
        fragments.add(EPOCH + usec * _MICROSECOND, record.log.encode(), lines)
        if not fragments.is_begun:
            del self._begun[record.stream]
        return render_lines(lines)


def parse_stamp(stamp: str) -> int:
    """The engine's timestamp in microseconds since 1970, what is finer cut off; 0 for what is none."""
    try:
        at = dt.datetime.fromisoformat(stamp)
        return (at - EPOCH) // _MICROSECOND
    except (ValueError, TypeError):
        return 0


def find_stamp(data: bytes, *, is_start: bool) -> int | None:
    """The stamp of the first whole record in the bytes, which begin with one if `is_start`; None without any."""
    start = 0 if is_start else data.find(b"\n") + 1
    if not is_start and not start:
        return None
    end = data.find(b"\n", start) + 1
    records = _decode(data[start:end]) if end else []
    return parse_stamp(records[0].time) if records else None


def _decode(whole: bytes) -> list[_Record]:
    try:
        return _decoder.decode_lines(whole)
    except msgspec.MsgspecError:
        return [record for line in whole.splitlines() if (record := _decode_one(line)) is not None]


def _decode_one(line: bytes) -> _Record | None:
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError:
        return None
