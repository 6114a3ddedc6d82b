"""Uploads as rows; their bytes are files."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Row, delete, insert, select

from controld.core.ports import Transaction
from controld.model.upload import Upload
from controld.store.tables import uploads


class UploadStore:
    """Reads and writes what is known of uploads."""

    async def insert(self, tx: Transaction, upload: Upload) -> None:
        """Keep a new upload."""
        await tx.execute(
            insert(uploads).values(
                id=upload.id,
                service_id=upload.service_id,
                sha256=upload.sha256,
                size_bytes=upload.size_bytes,
                uncompressed_bytes=upload.uncompressed_bytes,
                entries=upload.entries,
                created_at=upload.created_at,
                expires_at=upload.expires_at,
            )
        )

    async def find(self, tx: Transaction, upload_id: str) -> Upload | None:
        """The upload, or None."""
        row = (await tx.execute(select(uploads).where(uploads.c.id == upload_id))).first()
        return None if row is None else _to_record(row)

    async def delete(self, tx: Transaction, upload_id: str) -> None:
        """Forget it; no error when it is gone."""
        await tx.execute(delete(uploads).where(uploads.c.id == upload_id))

    async def list_expired(self, tx: Transaction, now: dt.datetime) -> list[Upload]:
        """Those whose time is over."""
        rows = await tx.execute(select(uploads).where(uploads.c.expires_at <= now).order_by(uploads.c.id))
        return [_to_record(row) for row in rows]

    async def list_ids(self, tx: Transaction) -> frozenset[str]:
        """The ids of all."""
        return frozenset((await tx.execute(select(uploads.c.id))).scalars())


def _to_record(row: Row[Any]) -> Upload:
    return Upload(
        id=row.id,
        service_id=row.service_id,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        uncompressed_bytes=row.uncompressed_bytes,
        entries=row.entries,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
