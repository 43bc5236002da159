"""The base of all rows, portable column types, constraint names, new ids and the current time."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, MetaData, String, Uuid
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

# Alembic can only change a constraint on SQLite if it has a name.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


# Text by which lists are sorted: by code point on both databases, whatever PostgreSQL's locale is.
SORTED_TEXT = String().with_variant(String(collation="C"), "postgresql")


class UtcTime(TypeDecorator[datetime]):
    """A column type for aware UTC times on both databases; SQLite itself stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy passes it by name
        """Return the time to store, in UTC.

        Raises:
            ValueError: it has no zone.
        """
        if value is not None and value.tzinfo is None:
            raise ValueError("A time without a zone cannot be stored.")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy passes it by name
        """Return the stored time as an aware one in UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Row(DeclarativeBase):
    """The base class of every table's row class."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar = {
        UUID: Uuid(),
        datetime: UtcTime(),
        int: BigInteger(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


def new_id() -> UUID:
    """Return a new UUIDv7; ids sort by the time of their creation."""
    return uuid_utils.compat.uuid7()


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)
