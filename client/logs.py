"""`moorage logs`: what a service said, found by moment, replica and text, followed without loss, or kept in a file."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from client.api import Api
from client.faults import Unreachable
from client.opening import open_api
from client.services import find_service
from kit.http.sse_parse import Event

_PACKED: Final = ".zst"
_OBJECTS: Final = frozenset({".ndjson", ".jsonl"})
_AGAIN_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogWords:
    """Which lines are asked for; what is absent is not asked for."""

    since: str | None = None
    until: str | None = None
    grep: str | None = None
    grep_regex: str | None = None
    ignore_case: bool = False
    tail: int | None = None
    replica: Sequence[str] = ()
    timestamps: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace) -> LogWords:
        """What the command's arguments say."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: getattr(options, name) for name in names if getattr(options, name, None) is not None})

    def query(self) -> list[tuple[str, str]]:
        """The words as a query."""
        given = [(name, getattr(self, name)) for name in ("since", "until", "grep", "grep_regex", "tail")]
        return [
            *(("replica", each) for each in self.replica),
            *((name, str(value)) for name, value in given if value is not None),
            *((name, "true") for name in ("ignore_case", "timestamps") if getattr(self, name)),
        ]


def add_words(parser: argparse.ArgumentParser) -> None:
    """The arguments that services' logs and those of jobs' runs have in common."""
    parser.add_argument("--since", metavar="WHEN", help="from then on: such as 15m, 2h, 1d or 2026-11-22T08:00:00Z")
    parser.add_argument("--until", metavar="WHEN", help="ahead of that moment")
    parser.add_argument("--grep", metavar="TEXT", help="only lines that hold the text")
    parser.add_argument("--grep-regex", metavar="RE2", help="only lines in which the expression matches")
    parser.add_argument("-i", "--ignore-case", action="store_true", help="upper and lower case are one")
    parser.add_argument("--tail", type=int, metavar="N", help="the last N of them")


def add_logs(parser: argparse.ArgumentParser) -> None:
    """The arguments of `moorage logs`."""
    add_words(parser)
    parser.add_argument(
        "--replica", action="append", metavar="N", help="only lines of the replica with that index or id; repeatable"
    )
    parser.add_argument("--timestamps", action="store_true", help="put the moment of each line ahead of it")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until interrupted")
    way.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write all of them to a file: objects for FILE.ndjson, compressed for FILE.zst",
    )
    parser.add_argument("--partial", action="store_true", help="export what there is though nodes do not answer")


async def show_logs(config: Path, name: str, words: LogWords, *, follow: bool) -> None:
    """Print the lines that are asked for, the last 200 unless told; with `follow` for ever, or up to `until`."""
    async with open_api(config) as api:
        service = await find_service(api, name)
        if follow:
            async for event in follow_on(api, service.id, words):
                if event.event == "message":
                    print(event.data, flush=True)
                elif event.event != "end":
                    print(f"-- {event.data}", file=sys.stderr)
            return
        if words.tail is None and (words.since or words.until):
            query = [*words.query(), ("partial", "true")]
            unreachable = await api.export_logs(service.id, query, sys.stdout.buffer, unpack=True)
            sys.stdout.flush()
        else:
            lines, unreachable = await api.list_logs(service.id, words.query())
            print("".join(f"{line}\n" for line in lines), end="")
        if unreachable:
            print(f"-- lines of these nodes are missing: {unreachable}", file=sys.stderr)


async def follow_on(api: Api, service_id: str, words: LogWords) -> AsyncIterator[Event]:
    """The events of the stream; when the connection breaks they go on behind the last one, without loss or repeat.

    Raises Refused, and Unreachable when controld was never reached.
    """
    last, failures = "", 0
    while True:
        try:
            async for event in api.follow_logs(service_id, query=words.query(), after=last or None):
                last, failures = event.id or last, 0
                yield event
                if event.event == "end":
                    return
        except Unreachable as fault:
            if not last:
                raise
            if failures == 0:
                print(f"-- {fault.message}; trying again", file=sys.stderr)
        await asyncio.sleep(_AGAIN_SECONDS[min(failures, len(_AGAIN_SECONDS) - 1)])
        failures += 1


async def export_logs(config: Path, name: str, words: LogWords, *, file: Path, partial: bool) -> None:
    """Write every line that is asked for to the file, which appears when it is whole."""
    packed = file.suffix == _PACKED
    kind = file.with_suffix("").suffix if packed else file.suffix
    query = [*words.query(), ("format", "ndjson" if kind in _OBJECTS else "text")]
    if partial:
        query.append(("partial", "true"))
    async with open_api(config) as api:
        service = await find_service(api, name)
        output = await asyncio.to_thread(_unfinished(file).open, "wb")
        try:
            unreachable = await api.export_logs(service.id, query, output, unpack=not packed)
            size = await asyncio.to_thread(_settle, file, output)
        except BaseException:
            await asyncio.to_thread(_discard, file, output)
            raise
    print(f"{file}: {size} bytes")
    if unreachable:
        print(f"-- lines of these nodes are missing: {unreachable}", file=sys.stderr)


async def run_logs(options: argparse.Namespace) -> None:
    """Do what the arguments of `moorage logs` say."""
    words = LogWords.of(options)
    if options.export is None:
        await show_logs(options.config, options.service, words, follow=options.follow)
    else:
        await export_logs(options.config, options.service, words, file=options.export, partial=options.partial)


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _settle(file: Path, output: BinaryIO) -> int:
    output.close()
    return _unfinished(file).replace(file).stat().st_size


def _discard(file: Path, output: BinaryIO) -> None:
    output.close()
    _unfinished(file).unlink(missing_ok=True)
