"""Tables of the certificates that nodes serve, and of what proves to their authority that they lead here."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from controld.store.tables.base import metadata, moment

certificates = Table(
    "certificates",
    metadata,
    Column("hostname", String(253), primary_key=True),
    Column("chain_pem", Text, nullable=True),
    Column("key_ref", String(64), nullable=True),
    moment("not_before_at", nullable=True),
    moment("not_after_at", nullable=True),
    moment("issued_at", nullable=True),
    Column("failures", Integer, nullable=False),
    Column("last_error", Text, nullable=True),
    moment("last_try_at", nullable=True),
    moment("next_try_at", nullable=True),
    moment("barred_until_at", nullable=True),
    Column("lease_owner", String(64), nullable=True),
    moment("lease_until", nullable=True),
    moment("created_at"),
)

acme_proofs = Table(
    "acme_proofs",
    metadata,
    Column("token", String(255), primary_key=True),
    Column("hostname", String(253), nullable=False, index=True),
    Column("body", Text, nullable=False),
    moment("created_at"),
)
