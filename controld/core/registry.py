"""What the image registry holds: reading it, and pushing and deleting manifests."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Final

from controld.core.ports import Database, Transaction
from controld.core.registry_access import RegistryAccess, RepositoryName
from controld.core.registry_faults import (
    BlobNotFound,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestNotFound,
)
from controld.core.registry_ports import LOCK, BlobFiles, RegistryStore
from controld.core.registry_trail import RegistryTrail
from controld.model.caller import Caller
from controld.model.registry import (
    Content,
    Manifest,
    ManifestFacts,
    Page,
    Pushed,
    ReferrersPage,
    RepositoryView,
)
from controld.rules.access import allows, check, reach_of, role_in
from controld.rules.registry import compute_digest, is_digest, is_tag, parse_manifest
from kit.clock import Clock
from kit.faults import Fault
from kit.ids import Ids

_BLOB: Final = "application/octet-stream"
_NAMES_AT_ONCE: Final = 1000
_TAGS_AT_ONCE: Final = 1000
_REFERRERS_AT_ONCE: Final = 100


class Registry:
    """Repositories as callers may see and change them.

    Bytes are told as files that are there for as long as their repository holds them. `grace_seconds` is how long a
    blob that no manifest needs is kept, `unneeded_seconds` the same for a manifest that nothing needs; a pusher who
    finds one of at least half that age makes it young again.
    """

    def __init__(
        self,
        database: Database,
        store: RegistryStore,
        *,
        access: RegistryAccess,
        files: BlobFiles,
        trail: RegistryTrail,
        clock: Clock,
        ids: Ids,
        grace_seconds: float,
        unneeded_seconds: float,
    ) -> None:
        self._database = database
        self._store = store
        self._access = access
        self._files = files
        self._trail = trail
        self._clock = clock
        self._ids = ids
        self._renew_after = dt.timedelta(seconds=grace_seconds / 2)
        self._touch_after = dt.timedelta(seconds=unneeded_seconds / 2)

    async def list_repositories(self, caller: Caller) -> list[RepositoryView]:
        """Repositories of the projects that the caller has a role in, by name; raises Forbidden to a node."""
        check(caller, "own.read")
        async with self._database.read() as tx:
            found = await self._store.list_repositories(tx)
        return [each for each in found if role_in(caller, each.repository.project_id) is not None]

    async def list_names(self, caller: Caller, *, after: str, limit: int | None) -> Page:
        """Names behind `after` of the repositories that the caller may pull from, by their bytes; at most 1,000."""
        most = _NAMES_AT_ONCE if limit is None else max(0, min(limit, _NAMES_AT_ONCE))
        async with self._database.read() as tx:
            found = await self._store.list_names(tx, reach=reach_of(caller))
        rest = [name for name in found if name > after]
        items = tuple(rest[:most])
        return Page(items=items, last=items[-1] if items and len(rest) > most else None)

    async def list_tags(self, caller: Caller, name: RepositoryName, *, after: str, limit: int | None) -> Page:
        """Tags behind `after` in the order of their bytes, at most 1,000 at once."""
        most = _TAGS_AT_ONCE if limit is None else max(0, min(limit, _TAGS_AT_ONCE))
        async with self._database.read() as tx:
            repository = await self._access.find_to_pull(tx, caller, name)
            if repository.id is None or not most:
                return Page(items=(), last=None)
            found = await self._store.list_tags(tx, repository.id, after=after, limit=most + 1)
        return Page(items=tuple(found[:most]), last=found[most - 1] if len(found) > most else None)

    async def list_referrers(
        self, caller: Caller, name: RepositoryName, digest: str, *, artifact_type: str | None, after: str
    ) -> ReferrersPage:
        """Manifests whose subject has this digest, whether or not it is there; at most 100 at once."""
        _check_digest(digest)
        async with self._database.read() as tx:
            repository = await self._access.find_to_pull(tx, caller, name)
            if repository.id is None:
                return ReferrersPage(items=(), last=None)
            found = await self._store.list_referrers(
                tx,
                repository.id,
                subject=digest,
                artifact_type=artifact_type,
                after=after,
                limit=_REFERRERS_AT_ONCE + 1,
            )
        items = tuple(found[:_REFERRERS_AT_ONCE])
        return ReferrersPage(items=items, last=items[-1].digest if len(found) > len(items) else None)

    async def get_blob(self, caller: Caller, name: RepositoryName, digest: str) -> Content:
        """A blob that the repository holds."""
        return await self._find_blob(caller, name, digest=digest, renew=False)

    async def find_blob(self, caller: Caller, name: RepositoryName, digest: str) -> Content:
        """As `get_blob`, for one who wants to know whether it has to be pushed."""
        return await self._find_blob(caller, name, digest=digest, renew=True)

    async def get_manifest(self, caller: Caller, name: RepositoryName, reference: str) -> Content:
        """The manifest of a tag or a digest."""
        return await self._get_manifest(caller, name, reference=reference, renew=False)

    async def find_manifest(self, caller: Caller, name: RepositoryName, reference: str) -> Content:
        """As `get_manifest`, for one who wants to know whether it has to be pushed."""
        return await self._get_manifest(caller, name, reference=reference, renew=True)

    async def _get_manifest(self, caller: Caller, name: RepositoryName, *, reference: str, renew: bool) -> Content:
        async with self._database.read() as tx:
            repository = await self._access.find_to_pull(tx, caller, name)
            manifest = None
            if repository.id is not None:
                manifest = await self._find_manifest(tx, repository.id, reference=reference)
        if manifest is None or not await self._files.has(manifest.digest):
            raise no_manifest(name, reference)
        is_old = manifest.touched_at is not None and self._clock.now() - manifest.touched_at >= self._touch_after
        if renew and is_old and repository.id and allows(caller, "image.push", project_id=repository.project_id):
            await self._touch(repository.id, manifest.digest, missing=no_manifest(name, reference))
        return Content(
            digest=manifest.digest,
            media_type=manifest.media_type,
            size_bytes=manifest.size_bytes,
            path=self._files.path_of(manifest.digest),
        )

    async def push_manifest(
        self, caller: Caller, name: RepositoryName, reference: str, *, media_type: str, data: bytes
    ) -> Pushed:
        """Take in a manifest under a tag or under its digest; all that it names has to be in the repository."""
        async with self._database.read() as tx:
            await self._access.find_to_push(tx, caller, name)
        manifest, facts = await asyncio.to_thread(_read_manifest, reference, media_type=media_type, data=data)
        part = self._ids.new_id()
        await self._files.create(part)
        try:
            async with self._files.writing(part) as writer:
                await writer.append(_once(data), limit_bytes=len(data))
                await writer.seal(manifest.digest)
            async with self._database.write() as tx:
                await tx.lock(LOCK)
                repository = await self._access.find_to_push(tx, caller, name)
                now = self._clock.now()
                repository_id = await self._store.create_repository(tx, repository, id=self._ids.new_id(), at=now)
                if missing := await self._store.find_missing(tx, repository_id, facts=facts):
                    raise ManifestBlobUnknown(
                        f"cannot take the manifest: {name} does not hold {missing[0]}", details={"digest": missing[0]}
                    )
                await self._files.publish(part, manifest.digest)
                await self._store.save_manifest(tx, repository_id, manifest=manifest, facts=facts, at=now)
                if not is_digest(reference):
                    await self._store.set_tag(tx, repository_id, tag=reference, digest=manifest.digest, at=now)
                await self._trail.record(tx, caller, repository, action="image.push", reference=reference)
                tx.announce("repository", repository.service_id)
        finally:
            await self._files.discard(part)
        return Pushed(digest=manifest.digest, subject=manifest.subject)

    async def delete_manifest(self, caller: Caller, name: RepositoryName, reference: str) -> None:
        """Drop a tag; or, by digest, a manifest with all its tags."""
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            repository = await self._access.find_to_push(tx, caller, name)
            is_gone = False
            if repository.id is not None and is_digest(reference):
                is_gone = await self._store.delete_manifest(tx, repository.id, digest=reference)
            elif repository.id is not None:
                is_gone = await self._store.delete_tag(tx, repository.id, tag=reference, at=self._clock.now())
            if not is_gone:
                raise no_manifest(name, reference)
            await self._trail.record(tx, caller, repository, action="image.delete", reference=reference)
            tx.announce("repository", repository.service_id)

    async def delete_blob(self, caller: Caller, name: RepositoryName, digest: str) -> None:
        """Take a blob out of the repository; its bytes go once no repository holds or needs them."""
        _check_digest(digest)
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            repository = await self._access.find_to_push(tx, caller, name)
            if repository.id is None or not await self._store.unlink_blob(tx, repository.id, digest=digest):
                raise no_blob(name, digest)
            await self._trail.record(tx, caller, repository, action="image.delete", reference=digest)

    async def _find_blob(self, caller: Caller, name: RepositoryName, *, digest: str, renew: bool) -> Content:
        _check_digest(digest)
        async with self._database.read() as tx:
            repository = await self._access.find_to_pull(tx, caller, name)
            blob = None if repository.id is None else await self._store.find_blob(tx, repository.id, digest=digest)
        if repository.id is None or blob is None or not await self._files.has(digest):
            raise no_blob(name, digest)
        if renew and self._clock.now() - blob.linked_at >= self._renew_after:
            async with self._database.write() as tx:
                await tx.lock(LOCK)
                if await self._store.find_blob(tx, repository.id, digest=digest) is None:
                    raise no_blob(name, digest)
                await self._store.link_blob(
                    tx, repository.id, digest=digest, size_bytes=blob.size_bytes, at=self._clock.now()
                )
        return Content(digest=digest, media_type=_BLOB, size_bytes=blob.size_bytes, path=self._files.path_of(digest))

    async def _touch(self, repository_id: str, digest: str, *, missing: Fault) -> None:
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            if await self._store.find_manifest(tx, repository_id, digest=digest) is None:
                raise missing
            await self._store.touch_manifest(tx, repository_id, digest=digest, at=self._clock.now())

    async def _find_manifest(self, tx: Transaction, repository_id: str, *, reference: str) -> Manifest | None:
        if is_digest(reference):
            return await self._store.find_manifest(tx, repository_id, digest=reference)
        return await self._store.find_tagged(tx, repository_id, tag=reference)


def _read_manifest(reference: str, *, media_type: str, data: bytes) -> tuple[Manifest, ManifestFacts]:
    if not (is_digest(reference) or is_tag(reference)):
        raise ManifestInvalid(f"cannot push under {reference[:150]!r}: it is neither a tag nor a digest")
    digest = compute_digest(data, like=reference if is_digest(reference) else "sha256:")
    if is_digest(reference) and digest != reference:
        raise DigestInvalid(f"cannot take the manifest: its digest is {digest}", details={"digest": reference})
    try:
        facts = parse_manifest(data, media_type=media_type)
    except ValueError as error:
        raise ManifestInvalid(f"cannot take the manifest: {error}") from error
    manifest = Manifest(
        digest=digest,
        media_type=media_type,
        size_bytes=len(data),
        subject=facts.subject,
        artifact_type=facts.artifact_type,
        annotations=facts.annotations,
    )
    return manifest, facts


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _check_digest(digest: str) -> None:
    if not is_digest(digest):
        raise DigestInvalid(f"cannot read the digest {digest[:150]!r}: say sha256: or sha512: and lowercase digits")


def no_blob(name: RepositoryName, digest: str) -> BlobNotFound:
    """The fault of a blob that the repository does not hold."""
    return BlobNotFound(f"cannot find blob {digest} in {name}", details={"digest": digest})


def no_manifest(name: RepositoryName, reference: str) -> ManifestNotFound:
    """The fault of a manifest or tag that the repository does not hold."""
    return ManifestNotFound(f"cannot find manifest {reference[:150]} in {name}", details={"reference": reference[:150]})
