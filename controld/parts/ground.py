"""What every part stands on: time, ids, the database with its feed, the audit, and the vault of secrets."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from typing import Final

from controld.core.audit import Audit
from controld.core.ports_secrets import SecretVault
from controld.settings import Settings
from controld.store.audit import AuditStore
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.secret_files import SecretFiles
from kit.clock import Clock, SystemClock
from kit.ids import Ids, SystemIds

DATABASE_FILE: Final = "controld.db"
SECRETS_FOLDER: Final = "secrets"
AGE_KEY_FILE: Final = "age.key"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Handed to whatever builds parts."""

    settings: Settings
    clock: Clock
    ids: Ids
    feed: Feed
    database: Database
    audit: Audit
    secrets: SecretVault


async def open_ground(settings: Settings, *, stack: AsyncExitStack) -> Ground:
    """The ground with its database open and brought forward; the stack closes it."""
    clock, ids = SystemClock(), SystemIds()
    feed = Feed(ids.new_secret(8))
    database = Database(make_database_url(settings), feed=feed, clock=clock)
    stack.push_async_callback(database.close)
    await database.open()
    secrets = make_secret_files(settings, clock=clock, may_make_key=settings.age_key_file is None)
    await secrets.open()
    return Ground(
        settings=settings,
        clock=clock,
        ids=ids,
        feed=feed,
        database=database,
        audit=Audit(AuditStore(), clock=clock, ids=ids),
        secrets=secrets,
    )


def make_database_url(settings: Settings) -> str:
    """Where the database is: as the settings say, else the SQLite file in the data directory."""
    return settings.database_url or f"sqlite+aiosqlite:///{settings.data_dir.absolute()}/{DATABASE_FILE}"


def make_secret_files(settings: Settings, *, clock: Clock, may_make_key: bool) -> SecretFiles:
    """Where secrets are kept, not yet open."""
    return SecretFiles(
        settings.data_dir / SECRETS_FOLDER,
        key_file=settings.age_key_file or settings.data_dir / AGE_KEY_FILE,
        may_make_key=may_make_key,
        recipients=settings.age_recipients,
        clock=clock,
    )
