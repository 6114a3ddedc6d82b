"""What every part stands on: time, ids, the database with its feed, and the audit."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from typing import Final

from controld.core.audit import Audit
from controld.settings import Settings
from controld.store.audit import AuditStore
from controld.store.engine import Database
from controld.store.feed import Feed
from kit.clock import Clock, SystemClock
from kit.ids import Ids, SystemIds

DATABASE_FILE: Final = "controld.db"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Handed to whatever builds parts."""

    settings: Settings
    clock: Clock
    ids: Ids
    feed: Feed
    database: Database
    audit: Audit


async def open_ground(settings: Settings, *, stack: AsyncExitStack) -> Ground:
    """The ground with its database open and brought forward; the stack closes it."""
    clock, ids = SystemClock(), SystemIds()
    feed = Feed(ids.new_secret(8))
    url = settings.database_url or f"sqlite+aiosqlite:///{settings.data_dir.absolute()}/{DATABASE_FILE}"
    database = Database(url, feed=feed, clock=clock)
    stack.push_async_callback(database.close)
    await database.open()
    return Ground(
        settings=settings,
        clock=clock,
        ids=ids,
        feed=feed,
        database=database,
        audit=Audit(AuditStore(), clock=clock, ids=ids),
    )
