"""The image registry over a real database, for a whole `/v1` of tests."""

from __future__ import annotations

from controld.core.audit import Audit
from controld.core.registry import Registry
from controld.core.registry_access import RegistryAccess
from controld.core.registry_trail import RegistryTrail
from controld.core.registry_upkeep import RegistryUpkeep
from controld.store.blob_files import BlobFiles
from controld.store.engine import Database
from controld.store.registry import RegistryStore
from kit.clock import Clock
from kit.ids import Ids


def make_registry(
    database: Database, *, files: BlobFiles, audit: Audit, clock: Clock, ids: Ids
) -> tuple[Registry, RegistryUpkeep]:
    """The registry and what keeps it small."""
    store = RegistryStore()
    registry = Registry(
        database,
        store,
        access=RegistryAccess(store),
        files=files,
        trail=RegistryTrail(audit),
        clock=clock,
        ids=ids,
        grace_seconds=3600,
        unneeded_seconds=604_800,
    )
    upkeep = RegistryUpkeep(
        database,
        store,
        files=files,
        audit=audit,
        clock=clock,
        grace_seconds=3600,
        unneeded_seconds=604_800,
        expiry_seconds=86_400,
    )
    return registry, upkeep
