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

from controld.core.log_source import LogSource
from controld.core.places import ask_all
from controld.model.node import Node
from kit.faults import Fault
from wire.agent.logs import LogLine, LogRecord

ANSWER_SECONDS: Final = 5.0

_BATCH: Final = 256

_Lines = list[tuple[LogSource, LogLine]]


async def pick_tails(sources: Sequence[LogSource], cursors: MutableMapping[str, str], *, tail: int) -> _Lines:
    """The last lines of all nodes together, oldest first, of sources that are asked for one line more.

    `cursors` then says where a reader stands ahead of them. A node that does not answer has `said` why.
    """
    by_id = {source.node.id: source for source in sources}

    async def read(node: Node) -> list[LogLine]:
        async with aclosing(by_id[node.id].read(follow=False)) as records:
            return [record async for record in records if isinstance(record, LogLine)]

    answers, silent = await ask_all([source.node for source in sources], read, limit_seconds=ANSWER_SECONDS)
    for node_id, why in silent.items():
        by_id[node_id].said, by_id[node_id].read_to = why, None
    lists = [[(line.at, by_id[node_id], line) for line in lines] for node_id, lines in answers.items()]
    merged = [(source, line) for _, source, line in heapq.merge(*lists, key=itemgetter(0))]
    wanted = merged[max(0, len(merged) - tail) :]
    taken = Counter(source.node.id for source, _ in wanted)
    for node_id, lines in answers.items():
        if len(lines) > taken[node_id]:
            cursors[by_id[node_id].key] = lines[-taken[node_id] - 1].id
    return wanted


async def read_behind(sources: Sequence[LogSource]) -> AsyncGenerator[_Lines]:
    """The lines behind the places of the sources, merged by time, in batches; read as they are taken."""
    heads: list[tuple[dt.datetime, int, LogLine]] = []
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(aclosing(source.read(follow=False))) for source in sources]

        async def pull(number: int) -> None:
            line = await _next_line(sources[number], streams[number])
            if line is not None:
                heapq.heappush(heads, (line.at, number, line))

        await asyncio.gather(*map(pull, range(len(sources))))
        batch: _Lines = []
        while heads:
            _, number, line = heapq.heappop(heads)
            batch.append((sources[number], line))
            await pull(number)
            if len(batch) >= _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


async def _next_line(source: LogSource, stream: AsyncGenerator[LogRecord]) -> LogLine | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            async for record in stream:
                if isinstance(record, LogLine):
                    return record
    except TimeoutError:
        source.said = f"node {source.node.name} did not answer within {ANSWER_SECONDS:g} s"
    except Fault as fault:
        source.said = fault.message
    return None
