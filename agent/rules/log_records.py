"""Records of the engine's json-file logs become lines: bytes of a file in, the lines out that its API would give."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, Literal

import msgspec

from agent.model.engine import EPOCH, LoggedLine, RawLine
from agent.model.log_columns import LineColumns, Stamps
from agent.rules.log_frames import Fragments
from agent.rules.log_lines import LINE_BYTES, render_lines

_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SURELY_SHORT: Final = LINE_BYTES // 4
"""So many characters are no more than `LINE_BYTES` bytes."""
_MOST_RECORD_BYTES: Final = 1024 * 1024
_SECOND_LENGTH: Final = len("2026-11-22T03:30:01.")
_FRACTION: Final = slice(_SECOND_LENGTH, len("2026-11-22T03:30:01.490573"))
_get_fraction: Final = itemgetter(_FRACTION)
_DIGITS: Final = 16
"""Those of the microseconds from 1970 to a moment between 2001 and 2286."""
_LEAST_USEC: Final = 1_000_000_000_000_000
_SECONDS_KEPT: Final = 4096
_UTC_END: Final = b'Z"}\n'
"""The end of each record whose moment is told in UTC, as the engine does."""


class _Record(msgspec.Struct, gc=False):
    log: str
    time: str
    stream: str = "stdout"


class _KnownRecord(_Record, gc=False):
    """One of the engine's two streams, whose names are then told apart without being made anew."""

    stream: Literal["stdout", "stderr"] = "stdout"


_decoder: Final = msgspec.json.Decoder(_KnownRecord)
_any_decoder: Final = msgspec.json.Decoder(_Record)


class LogRecords:
    """Reads the file from where a record begins, leaving out records stamped ahead of `since_usec`.

    Lines, pieces and stamps are those of `LogFrames`, so that a place in the one is a place in the other. What is no
    record, as a crash of the machine may leave it, is passed over.
    """

    def __init__(self, *, since_usec: int = 0) -> None:
        self._since_usec = since_usec
        self._rest = b""
        self._begun: dict[str, Fragments] = {}
        self._seconds = _Seconds()

    def feed(self, data: bytes) -> Sequence[LoggedLine]:
        """The lines that these bytes complete, in order."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest = self._rest + data if len(self._rest) < _MOST_RECORD_BYTES else b""
            return []
        whole, self._rest = self._rest + data[:end], data[end:]
        records = _decode(whole)
        if not records:
            return []
        times = [record.time for record in records]
        stamps = self._seconds.read(times) if whole.count(_UTC_END) == len(records) else None
        if stamps is None:
            return self._take_each(records, map(parse_stamp, times))
        columns = None if self._begun else _find_columns(records, stamps)
        if columns is not None and stamps.first_usec >= self._since_usec:
            return columns
        return self._take_each(records, stamps.list_usecs())

    def _take_each(self, records: Sequence[_Record], usecs: Iterable[int]) -> list[LoggedLine]:
        lines: list[LoggedLine] = []
        add, since_usec, begun = lines.append, self._since_usec, self._begun
        for record, usec in zip(records, usecs, strict=True):
            if usec < since_usec:
                continue
            text = record.log
            if not begun and text[-1:] == "\n" and len(text) <= _SURELY_SHORT and "\0" not in text and "\r" not in text:
                add(LoggedLine(usec, record.stream, text[:-1]))
            else:
                lines += self._join(usec, record)
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


class _Seconds(dict[str, str]):
    """Seconds since 1970 in digits, by the beginning of a stamp; what is none of our times has no digits."""

    def read(self, times: Sequence[str]) -> Stamps | None:
        """The engine's timestamps in microseconds, what is finer cut off; None where one is not of our times."""
        if len(self) > _SECONDS_KEPT:
            self.clear()
        # The engine leaves out zeros at the end, now and then those of a microsecond.
        return self._read(times) or self._read([_pad(time) for time in times])

    def _read(self, times: Sequence[str]) -> Stamps | None:
        first, last = min(times), max(times)
        first_second, last_second = self[first[:_SECOND_LENGTH]], self[last[:_SECOND_LENGTH]]
        if first[:_SECOND_LENGTH] == last[:_SECOND_LENGTH]:
            beginning, endings = first_second, [*map(_get_fraction, times)]
        else:
            beginning, endings = "", [self[time[:_SECOND_LENGTH]] + time[_FRACTION] for time in times]
        joined = "".join(endings)
        if len(joined) != (_DIGITS - len(beginning)) * len(times) or not (joined.isascii() and joined.isdecimal()):
            return None
        return Stamps(beginning, endings, int(first_second + first[_FRACTION]), int(last_second + last[_FRACTION]))

    def __missing__(self, beginning: str) -> str:
        usec = parse_stamp(f"{beginning[:-1]}Z") if beginning.endswith(".") else 0
        digits = self[beginning] = str(usec // 1_000_000) if _is_ours(usec) else ""
        return digits


def _is_ours(usec: int) -> bool:
    return _LEAST_USEC <= usec < 10 * _LEAST_USEC


def _pad(time: str) -> str:
    """The timestamp with all digits of its microsecond."""
    if len(time) > _FRACTION.stop:
        return time
    second, _, fraction = time.removesuffix("Z").partition(".")
    return f"{second}.{fraction:0<6}Z"


def _find_columns(records: Sequence[_Record], stamps: Stamps) -> LineColumns | None:
    """The records as lines; None unless each is a short line of its own that needs no look at its characters."""
    count, texts = len(records), [record.log for record in records]
    # Joined so, a line feed at the end of each and nowhere else is told by counting.
    joined = "\r".join(texts)
    if max(map(len, texts)) > _SURELY_SHORT or joined.count("\r") != count - 1 or "\0" in joined:
        return None
    if joined.count("\n") != count or joined.count("\n\r") != count - 1 or joined[-1] != "\n":
        return None
    streams = [record.stream for record in records]
    return LineColumns(stamps, streams=streams, texts=texts, characters=len(joined) + 1 - 2 * count)


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


def _decode(whole: bytes) -> Sequence[_Record]:
    try:
        return _decoder.decode_lines(whole)
    except msgspec.MsgspecError:
        return [record for line in whole.splitlines() if (record := _decode_one(line)) is not None]


def _decode_one(line: bytes) -> _Record | None:
    try:
        return _any_decoder.decode(line)
    except msgspec.MsgspecError:
        return None
