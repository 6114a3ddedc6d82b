"""Follows the log of something that ends, on the terminal, and says how it ended."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from client.faults import Refused
from client.messages import Deployment, JobRun
from kit.http.sse_parse import Event


async def print_log(events: AsyncIterator[Event]) -> None:
    """Print the lines until the log ends; a word instead when the control daemon has too many streams open."""
    try:
        async for event in events:
            if event.event == "message":
                print(event.data, flush=True)
    except Refused as refused:
        if refused.remote_status != 429:
            raise
        print(f"not following: {refused.message}", file=sys.stderr)


def print_end(ended: Deployment | JobRun) -> None:
    """Print how it ended, and why where that is known."""
    print(f"{ended.status}{f': {ended.reason}' if ended.reason else ''}")
