"""The one clock that all processes share: the database's."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from modelyard.server.database.base import now

_POSTGRES_NOW = text("SELECT clock_timestamp()")


def database_now(session: Session) -> datetime:
    """This moment, as the database's machine has it; SQLite is in this machine.

    Leases are measured by it, so that a server whose clock is wrong takes nothing away from another.
    """
    if session.get_bind().dialect.name == "sqlite":
        return now()
    moment: datetime = session.scalars(_POSTGRES_NOW).one()
    return moment
