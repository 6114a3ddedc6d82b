"""Which lines of a log are asked for, beyond where reading begins."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from agent.model.engine import EPOCH
from agent.model.logs import Entry
from agent.rules.log_cursor import SLACK_USEC
from kit.text_filter import make_text_filter
from wire.agent.logs import LogQuery

_MICROSECOND: Final = dt.timedelta(microseconds=1)


class LogFilter:
    """What a query asks for by moment, replica and text; raises Invalid for an expression that is none."""

    def __init__(self, query: LogQuery) -> None:
        self._until_usec = None if query.until is None else (query.until - EPOCH) // _MICROSECOND
        self._ids = frozenset(query.replica_ids)
        self._indices = frozenset(query.replica_indices)
        self._matches = make_text_filter(
            contains=query.grep, expression=query.grep_regex, ignore_case=query.ignore_case
        )

    @property
    def is_selective(self) -> bool:
        """Whether some lines of a replica that is asked for are not."""
        return self._until_usec is not None or self._matches is not None

    def picks(self, replica_id: str, replica_index: int | None) -> bool:
        """Whether the lines of this replica are asked for."""
        if not self._ids and not self._indices:
            return True
        return replica_id in self._ids or replica_index in self._indices

    def takes(self, entry: Entry) -> bool:
        """Whether the entry, of a replica that is asked for, is asked for too."""
        if self._until_usec is not None and entry.usec >= self._until_usec:
            return False
        return self._matches is None or self._matches(entry.text)

    def find_end(self, entries: Sequence[Entry]) -> int | None:
        """The number of the first entry behind which nothing in its log is asked for; None where there is none."""
        if self._until_usec is None:
            return None
        past = self._until_usec + SLACK_USEC
        return next((number for number, entry in enumerate(entries) if entry.usec >= past), None)

    def keep(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that are asked for."""
        return [entry for entry in entries if self.picks(entry.replica_id, entry.replica_index) and self.takes(entry)]
