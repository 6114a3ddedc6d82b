"""What controld tells Prometheus: what it answered, what it holds, and how it does."""

from __future__ import annotations

import datetime as dt
import enum
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, Protocol

from controld.core.ports import Database, Transaction
from controld.model.caller import Caller
from controld.model.census import Census
from controld.model.deployment import Status
from controld.model.job import RunStatus
from controld.model.node import NodeState
from controld.rules.access import check
from kit.clock import Clock
from kit.exposition import Family, Histogram, Sample, counter, gauge, histogram
from kit.faults import Fault
from kit.http.tally import Tally
from kit.process import ProcessReading, tell_process

_log = logging.getLogger(__name__)

PREFIX: Final = "moorage_controld"


class Reader(enum.Enum):
    """Who may read this and nothing else."""

    METRICS_TOKEN = "metrics token"


class CensusStore(Protocol):
    """Counts what the database holds."""

    async def read(self, tx: Transaction) -> Census:
        """The counts now."""
        ...


class MeasuredDatabase(Database, Protocol):
    """A database that knows its own load."""

    waiting: int
    """Transactions that wait for their turn."""
    busy: int
    """Transactions that gave up waiting, since the start."""
    write_seconds: Histogram
    """How long transactions that may change things took, with their wait."""

    async def fetch_size(self) -> int:
        """Bytes that it takes; raises a Fault when it cannot tell."""
        ...


class Exposition:
    """Gathers families when asked. `gauges` and `counters` are more of them by name, each with its help.

    A database that does not answer leaves out what only it knows, and is told by `database_up`.
    """

    def __init__(
        self,
        *,
        database: MeasuredDatabase,
        census: CensusStore,
        tally: Tally,
        process: Callable[[], Awaitable[ProcessReading]],
        gauges: Mapping[str, tuple[str, Callable[[], float | None]]],
        counters: Mapping[str, tuple[str, Callable[[], float]]],
        clock: Clock,
        version: str,
    ) -> None:
        self._database = database
        self._census = census
        self._tally = tally
        self._process = process
        self._gauges = gauges
        self._counters = counters
        self._clock = clock
        self._version = version

    async def gather(self, reader: Caller | Reader) -> list[Family]:
        """Every family; raises Forbidden."""
        if isinstance(reader, Caller):
            check(reader, "exposition.read")
        census = await self._take_census()
        return [
            *tell_process(PREFIX, await self._process(), version=self._version),
            *self._tally.tell(PREFIX),
            *(gauge(f"{PREFIX}_{name}", help_, ({}, read())) for name, (help_, read) in self._gauges.items()),
            *(counter(f"{PREFIX}_{name}", help_, ({}, read())) for name, (help_, read) in self._counters.items()),
            *await self._tell_database(is_up=census is not None),
            *(_tell_census(census, now=self._clock.now()) if census is not None else ()),
        ]

    async def _take_census(self) -> Census | None:
        try:
            async with self._database.read() as tx:
                return await self._census.read(tx)
        except Fault as fault:
            _log.warning("nothing of the database is told to Prometheus", extra={"reason": fault.message})
            return None

    async def _tell_database(self, *, is_up: bool) -> list[Family]:
        database = self._database
        size: float | None = None
        if is_up:
            try:
                size = float(await database.fetch_size())
            except Fault as fault:
                _log.warning("the database's size is unknown", extra={"reason": fault.message})
        return [
            gauge(f"{PREFIX}_database_up", "Whether the database answers.", ({}, float(is_up))),
            gauge(f"{PREFIX}_database_bytes", "What the database takes, its log included.", ({}, size)),
            gauge(
                f"{PREFIX}_database_waiting",
                "Transactions that wait for their turn.",
                ({}, float(database.waiting)),
            ),
            counter(
                f"{PREFIX}_database_busy_total",
                "Transactions that gave up because the database was busy.",
                ({}, float(database.busy)),
            ),
            histogram(
                f"{PREFIX}_database_write_duration_seconds",
                "Time of transactions that may change things, with their wait.",
                ({}, database.write_seconds),
            ),
        ]


def _tell_census(census: Census, *, now: dt.datetime) -> Iterator[Family]:
    states = [each for each in NodeState if each is not NodeState.REMOVED]
    yield gauge(
        f"{PREFIX}_nodes",
        "Nodes by state.",
        *_count_by_value("state", {each: census.nodes.get(each) for each in states}),
    )
    yield gauge(
        f"{PREFIX}_node_heartbeat_age_seconds",
        "Time since the last heartbeat of the node that is silent for longest, by state.",
        *(({"state": state.value}, (now - heard_at).total_seconds()) for state, heard_at in census.heard_at.items()),
    )
    yield gauge(f"{PREFIX}_services", "Services.", ({}, float(census.services)))
    yield gauge(
        f"{PREFIX}_deployments",
        "Deployments by phase, those that ended included.",
        *_count_by_value("phase", {each: census.deployments.get(each) for each in Status}),
    )
    yield gauge(f"{PREFIX}_jobs", "Jobs.", ({}, float(census.jobs)))
    yield gauge(
        f"{PREFIX}_job_runs",
        "Runs of jobs that are kept, by status.",
        *_count_by_value("status", {each: census.job_runs.get(each) for each in RunStatus}),
    )
    yield gauge(
        f"{PREFIX}_certificate_expiry_timestamp_seconds",
        "When the certificate that nodes serve for a hostname expires, in seconds since the epoch.",
        *(({"hostname": host}, not_after.timestamp()) for host, not_after in sorted(census.certificates.items())),
    )
    yield gauge(
        f"{PREFIX}_certificate_orders_failed",
        "Hostnames whose newest order of a certificate has failed.",
        ({}, float(census.orders_failed)),
    )
    first = census.node_certificate_expires_at
    yield gauge(
        f"{PREFIX}_node_certificate_expiry_timestamp_seconds",
        "When the first certificate of a node expires, in seconds since the epoch.",
        ({}, None if first is None else first.timestamp()),
    )


def _count_by_value(label: str, counts: Mapping[enum.Enum, int | None]) -> Iterator[Sample]:
    return (({label: str(each.value)}, float(count or 0)) for each, count in counts.items())
