"""What the nodes of a service have of its log, merged by time; a node that does not answer is left out and told of."""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from collections import Counter
from collections.abc import AsyncGenerator, MutableMapping, Sequence
from contextlib import AsyncExitStack, aclosing
from operator import itemgetter
from typing import Final

from controld.core.log_source import LogSource, word_silence
from controld.core.places import ask_all
from controld.model.node import Node
from controld.model.observed import LogNews, LogText
from controld.rules.log_cursor import render_cursor
from kit.faults import Fault
from wire.agent.logs import LogLine, LogRecord

ANSWER_SECONDS: Final = 5.0
SEARCH_SECONDS: Final = 30.0
"""A node that has to look through its log for the last lines has so long."""

_BATCH: Final = 256


def word_line(source: LogSource, line: LogLine, cursors: MutableMapping[str, str]) -> LogText:
    """The line as news to a reader who stands at the cursors, which move on behind it."""
    cursors[source.key] = line.id
    return LogText(id=render_cursor(cursors), node_id=source.node.id, line=line)


async def read_backlog(
    sources: Sequence[LogSource], cursors: MutableMapping[str, str], *, tail: int | None
) -> AsyncGenerator[list[LogNews]]:
    """What there is behind the places of the sources, or the last `tail` lines of them, then which nodes are silent.

    `cursors` is where the reader stands; it moves on with what is told.
    """
    if tail is not None:
        yield [*await pick_tails(sources, cursors, tail=tail)]
    else:
        async with aclosing(read_behind(sources, cursors)) as batches:
            async for batch in batches:
                yield [*batch]
    silent = [source.said for source in sources if source.said is not None]
    if silent:
        yield [word_silence(render_cursor(cursors), why) for why in silent]


async def pick_tails(sources: Sequence[LogSource], cursors: MutableMapping[str, str], *, tail: int) -> list[LogText]:
    """The last lines of all nodes together, oldest first, of sources that are asked for one line more.

    `cursors` then says where a reader stands behind them. A node that does not answer has `said` why.
    """
    by_id = {source.node.id: source for source in sources}

    async def read(node: Node) -> list[LogLine]:
        async with aclosing(by_id[node.id].read(follow=False)) as records:
            return [record async for record in records if isinstance(record, LogLine)]

    limit_seconds = SEARCH_SECONDS if any(source.is_narrowed for source in sources) else ANSWER_SECONDS
    answers, silent = await ask_all([source.node for source in sources], read, limit_seconds=limit_seconds)
    for node_id, why in silent.items():
        by_id[node_id].said, by_id[node_id].read_to = why, None
    lists = [[(line.at, by_id[node_id], line) for line in lines] for node_id, lines in answers.items()]
    merged = [(source, line) for _, source, line in heapq.merge(*lists, key=itemgetter(0))]
    wanted = merged[max(0, len(merged) - tail) :]
    taken = Counter(source.node.id for source, _ in wanted)
    for node_id, lines in answers.items():
        if len(lines) > taken[node_id]:
            cursors[by_id[node_id].key] = lines[-taken[node_id] - 1].id
    return [word_line(source, line, cursors) for source, line in wanted]


async def read_behind(sources: Sequence[LogSource], cursors: MutableMapping[str, str]) -> AsyncGenerator[list[LogText]]:
    """The lines behind the places of the sources, merged by time, in batches; read as they are taken.

    `cursors` is where the reader stands; it moves on with each batch.
    """
    heads: list[tuple[dt.datetime, int, LogLine]] = []
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(aclosing(source.read(follow=False))) for source in sources]

        async def pull(number: int, limit_seconds: float | None = ANSWER_SECONDS) -> None:
            line = await _next_line(sources[number], streams[number], limit_seconds)
            if line is not None:
                heapq.heappush(heads, (line.at, number, line))

        await asyncio.gather(*map(pull, range(len(sources))))
        # A node that is alone holds nobody up when it is silent, and a limit costs more than a line.
        limit_seconds = ANSWER_SECONDS if len(sources) > 1 else None
        batch: list[LogText] = []
        while heads:
            _, number, line = heapq.heappop(heads)
            batch.append(word_line(sources[number], line, cursors))
            await pull(number, limit_seconds)
            if len(batch) >= _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
    # Behind the last line there may be more that was read and not asked for.
    cursors.update({source.key: source.read_to for source in sources if source.read_to is not None})


async def _next_line(
    source: LogSource, stream: AsyncGenerator[LogRecord], limit_seconds: float | None
) -> LogLine | None:
    try:
        async with asyncio.timeout(limit_seconds) as limit:
            async for record in stream:
                if isinstance(record, LogLine):
                    return record
                if limit_seconds is not None:
                    limit.reschedule(asyncio.get_running_loop().time() + limit_seconds)
    except TimeoutError:
        source.said = f"node {source.node.name} did not answer within {limit_seconds:g} s"
    except Fault as fault:
        source.said = fault.message
    return None
