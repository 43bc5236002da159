"""The translation of database failures into problems; it happens here only.

Messages of the database or its driver are never repeated: they may contain hosts, users and values.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from modelyard.wire.problems import Problem, StorageFull, Unavailable

log = logging.getLogger("modelyard.database")

FULL = "full"
# The message for each failure, and after how many seconds a retry makes sense.
FAILURES: dict[str, tuple[str, int]] = {
    "away": ("The database does not answer. Try again.", 2),
    "restarting": ("The database is being restarted. Try again.", 2),
    "crowded": ("The database has no free connection. Try again.", 2),
    "busy": ("The database is busy with another change. Try again.", 1),
    "collided": ("Another change was made at the same time, and nothing of this one was kept. Try again.", 1),
    "slow": ("The database took too long for this request. Try again.", 5),
    "read-only": ("The database is read-only. Ask the operator.", 30),
    "disk": ("The disk of the database failed. Ask the operator.", 60),
    "damaged": ("The database is damaged. Ask the operator.", 60),
    "unopened": ("The database's file cannot be opened. Check the data folder and its permissions.", 60),
    "refused": ("The database refuses the registry's user or password. Check MODELYARD_DATABASE_URL.", 60),
    "missing": ("The registry's database does not exist. Create it, or check MODELYARD_DATABASE_URL.", 60),
    "options": ("An option in MODELYARD_DATABASE_URL is not valid.", 60),
    "unencrypted": ("The database cannot be reached with TLS as MODELYARD_DATABASE_URL requires.", 60),
    "forbidden": ("The registry's user lacks a permission in the database. Ask the operator.", 60),
}
_BY_SQLITE_CODE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_INTERRUPT: "slow",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_IOERR: "disk",
    sqlite3.SQLITE_CANTOPEN: "unopened",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
}
# PostgreSQL's SQLSTATE, or a class of them by its first two characters.
_BY_SQLSTATE = {
    "53100": FULL,
    "53": "crowded",
    "57014": "slow",
    "57": "restarting",
    "55P03": "busy",
    "40": "collided",
    "25006": "read-only",
    "28": "refused",
    "3D": "missing",
    "42501": "forbidden",
    "58": "disk",
    "XX001": "damaged",
    "XX002": "damaged",
    "08": "away",
}
# A refused connection has no SQLSTATE, only a message; a message in another language matches nothing here.
_BY_WORDS = (
    ("too many c", "crowded"),
    ("connection slots", "crowded"),
    ("starting up", "restarting"),
    ("shutting down", "restarting"),
    ("recovery", "restarting"),
    ("password", "refused"),
    ("authentication", "refused"),
    ("pg_hba.conf", "refused"),
    ("role ", "refused"),
    ("does not exist", "missing"),
    ("SSL", "unencrypted"),
    ("certificate", "unencrypted"),
    ("invalid ", "options"),
)


@contextmanager
def translate_failures() -> Iterator[None]:
    """Translate database failures into problems with a cause, and log them; errors in a statement pass unchanged.

    Raises:
        Unavailable: the database does not answer, or not now.
        StorageFull: the disk is full.
    """
    try:
        yield
    except PoolTimeout as error:
        log.warning("database failure", extra={"failure": "crowded", "sqlstate": None})
        raise _problem("crowded") from error
    except DBAPIError as error:
        found = classify_failure(error)
        if found is None:
            raise
        log.warning("database failure", extra={"failure": found, "sqlstate": getattr(error.orig, "sqlstate", None)})
        raise _problem(found) from error


def _problem(failure: str) -> Problem:
    """Build the problem for a key in ``FAILURES``, or for ``FULL``."""
    if failure == FULL:
        return StorageFull("The disk of the database is full. Nothing of this request was kept.")
    detail, retry_after = FAILURES[failure]
    return Unavailable(detail, retry_after=retry_after)


def classify_failure(error: DBAPIError) -> str | None:
    """Return the failure's key in ``FAILURES``, or ``FULL``; None for an error in the statement itself.

    A failure that is not recognised is ``away`` if the driver calls it operational.
    """
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        found = _BY_SQLITE_CODE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    else:
        found = _by_sqlstate(getattr(cause, "sqlstate", None))
    if found is None and error.statement is None:
        found = next((name for word, name in _BY_WORDS if word in str(cause)), None)
    if found is None and isinstance(error, OperationalError | InterfaceError):
        found = "away"
    return found


def _by_sqlstate(code: str | None) -> str | None:
    """Return the failure of a SQLSTATE or, if it is not listed, of its class; None if neither is."""
    if code is None:
        return None
    return next((_BY_SQLSTATE[code[:length]] for length in (5, 2) if code[:length] in _BY_SQLSTATE), None)
