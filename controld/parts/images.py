"""The parts of the image registry."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from typing import Final

from controld.core.registry import Registry
from controld.core.registry_access import RegistryAccess
from controld.core.registry_upkeep import RegistryUpkeep
from controld.core.registry_uploads import RegistryUploads
from controld.parts.ground import Ground
from controld.store.blob_files import BlobFiles
from controld.store.registry import RegistryStore

REGISTRY_FOLDER: Final = "registry"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What serves images and keeps them small."""

    registry: Registry
    uploads: RegistryUploads
    upkeep: RegistryUpkeep


async def open_images(ground: Ground, *, stack: AsyncExitStack) -> Images:
    """The parts, with the folder of blobs open; the stack closes it."""
    settings, database = ground.settings, ground.database
    clock, ids, audit = ground.clock, ground.ids, ground.audit
    blob_files = BlobFiles(settings.registry_dir or settings.data_dir / REGISTRY_FOLDER)
    stack.push_async_callback(blob_files.close)
    await blob_files.open()
    registry_store = RegistryStore()
    registry_access = RegistryAccess(registry_store)
    registry = Registry(
        database,
        registry_store,
        access=registry_access,
        files=blob_files,
        audit=audit,
        clock=clock,
        ids=ids,
        grace_seconds=settings.registry_grace_seconds,
    )
    registry_uploads = RegistryUploads(
        database,
        registry_store,
        access=registry_access,
        files=blob_files,
        clock=clock,
        ids=ids,
        max_blob_bytes=settings.registry_max_blob_bytes,
    )
    registry_upkeep = RegistryUpkeep(
        database,
        registry_store,
        files=blob_files,
        audit=audit,
        clock=clock,
        grace_seconds=settings.registry_grace_seconds,
        expiry_seconds=settings.registry_upload_expiry_seconds,
    )
    return Images(registry=registry, uploads=registry_uploads, upkeep=registry_upkeep)
