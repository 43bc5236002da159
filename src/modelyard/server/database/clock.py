"""The time of the database, the one clock that all processes share."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from modelyard.server.database.base import now

_POSTGRES_NOW = text("SELECT clock_timestamp()")


def get_database_time(session: Session) -> datetime:
    """Return the current time of the database's machine; SQLite is on this machine.

    Leases are measured by it, so that a server with a wrong clock does not take another's lease.
    """
    if session.get_bind().dialect.name == "sqlite":
        return now()
    moment: datetime = session.scalars(_POSTGRES_NOW).one()
    return moment
