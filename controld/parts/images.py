"""The parts of the image registry."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack
from typing import Final

from controld.core.registry import Registry
from controld.core.registry_access import RegistryAccess
from controld.core.registry_tokens import RegistryTokens
from controld.core.registry_trail import RegistryTrail
from controld.core.registry_upkeep import RegistryUpkeep
from controld.core.registry_uploads import RegistryUploads
from controld.parts.ground import Ground
from controld.parts.people import People
from controld.store.blob_files import BlobFiles
from controld.store.registry import RegistryStore
from controld.store.registry_tokens import RegistryTokenStore

REGISTRY_FOLDER: Final = "registry"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What serves images and keeps them small."""

    registry: Registry
    uploads: RegistryUploads
    upkeep: RegistryUpkeep
    tokens: RegistryTokens


async def open_images(ground: Ground, people: People, *, stack: AsyncExitStack) -> Images:
    """The parts, with the folder of blobs open; the stack closes it."""
    settings, database = ground.settings, ground.database
    clock, ids, audit = ground.clock, ground.ids, ground.audit
    blob_files = BlobFiles(settings.registry_dir or settings.data_dir / REGISTRY_FOLDER)
    stack.push_async_callback(blob_files.close)
    await blob_files.open()
    registry_store = RegistryStore()
    registry_access, trail = RegistryAccess(registry_store), RegistryTrail(audit)
    registry = Registry(
        database,
        registry_store,
        access=registry_access,
        files=blob_files,
        trail=trail,
        clock=clock,
        ids=ids,
        grace_seconds=settings.registry_grace_seconds,
        unneeded_seconds=settings.registry_unneeded_seconds,
    )
    registry_uploads = RegistryUploads(
        database,
        registry_store,
        access=registry_access,
        files=blob_files,
        trail=trail,
        clock=clock,
        ids=ids,
        max_blob_bytes=settings.registry_max_blob_bytes,
        max_project_bytes=settings.registry_max_project_bytes,
    )
    registry_upkeep = RegistryUpkeep(
        database,
        registry_store,
        files=blob_files,
        audit=audit,
        clock=clock,
        grace_seconds=settings.registry_grace_seconds,
        unneeded_seconds=settings.registry_unneeded_seconds,
        expiry_seconds=settings.registry_upload_expiry_seconds,
    )
    registry_tokens = RegistryTokens(
        database,
        RegistryTokenStore(),
        recognise=people.identities.recognise_hashed,
        clock=clock,
        ids=ids,
        seconds=settings.registry_token_seconds,
    )
    return Images(registry=registry, uploads=registry_uploads, upkeep=registry_upkeep, tokens=registry_tokens)
