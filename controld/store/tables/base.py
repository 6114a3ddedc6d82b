"""What all tables are made of: the column types, their names, and the columns that stand in many."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    MetaData,
    String,
    Text,
    TypeDecorator,
)

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Moment(TypeDecorator[dt.datetime]):
    """An aware moment, kept as microseconds since 1970 in UTC so that both databases compare it alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> int | None:
        """Microseconds of an aware moment."""
        del dialect
        return None if value is None else (value - _EPOCH) // dt.timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> dt.datetime | None:
        """The moment, in UTC."""
        del dialect
        return None if value is None else _EPOCH + dt.timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """Plain data as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The data as text; None stays NULL."""
        del dialect
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The data the text says."""
        del dialect
        return None if value is None else msgspec.json.decode(value)


DIGEST: Final = 140
"""Characters that a digest may have: the algorithm, a colon and up to 128 hexadecimal digits."""
BYTEWISE_NAME: Final = String(128).with_variant(String(128, collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def id_column() -> Column[str]:
    """The primary key of a table of things: their id."""
    return Column("id", String(36), primary_key=True)


def reference(name: str, target: str, *, ondelete: str = "CASCADE", nullable: bool = False, **more: Any) -> Column[str]:
    """The id of a row elsewhere, in the given `table.column`."""
    return Column(name, String(36), ForeignKey(target, ondelete=ondelete), nullable=nullable, **more)


def moment(name: str, *, nullable: bool = False, index: bool = False) -> Column[dt.datetime]:
    """A moment in UTC."""
    return Column(name, Moment, nullable=nullable, index=index)
