"""What the failures of a database mean to whoever asked: the one place where they become problems.

Nothing here repeats what the database or its driver said: that may name hosts, users and values.
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
# A sentence, and after how many seconds it is worth another try.
SAID: dict[str, tuple[str, int]] = {
    "away": ("The database does not answer. Try again.", 2),
    "restarting": ("The database is being restarted. Try again.", 2),
    "crowded": ("The database has no free connection. Try again.", 2),
    "busy": ("The database is busy: another change holds what this one needs. Try again.", 1),
    "collided": ("Another change came in between, and nothing of this one was kept. Try again.", 1),
    "slow": ("The database took too long over this. Try again.", 5),
    "read-only": ("The database is read-only. Ask the operator.", 30),
    "disk": ("The disk of the database fails. Ask the operator.", 60),
    "damaged": ("The database is damaged. Ask the operator.", 60),
    "unopened": ("The database's file cannot be opened. Check the data folder, and who may write there.", 60),
    "refused": ("The database refuses the registry's user or password. Check MODELYARD_DATABASE_URL.", 60),
    "missing": ("The registry's database does not exist. Make it, or check MODELYARD_DATABASE_URL.", 60),
    "options": ("An option in MODELYARD_DATABASE_URL is not valid.", 60),
    "unencrypted": ("The database cannot be reached with TLS as MODELYARD_DATABASE_URL asks for it.", 60),
    "forbidden": ("The registry's user may not do this in the database. Ask the operator.", 60),
}
_BY_SQLITE_CODE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_BUSY: "busy",
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
# A connection that was refused has no SQLSTATE, only words; in another language they say just that it was refused.
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
def failures_as_problems() -> Iterator[None]:
    """Raise what a database could not do as a problem with a cause; bugs of ours pass as they are.

    Raises:
        Unavailable: the database does not answer, or not now.
        StorageFull: no room.
    """
    try:
        yield
    except PoolTimeout as error:
        log.warning("database failure", extra={"failure": "crowded", "sqlstate": None})
        raise _problem("crowded") from error
    except DBAPIError as error:
        found = failure_of(error)
        if found is None:
            raise
        log.warning("database failure", extra={"failure": found, "sqlstate": getattr(error.orig, "sqlstate", None)})
        raise _problem(found) from error


def _problem(failure: str) -> Problem:
    if failure == FULL:
        return StorageFull("The disk of the database is full. Nothing of this request was kept.")
    detail, retry_after = SAID[failure]
    return Unavailable(detail, retry_after=retry_after)


def failure_of(error: DBAPIError) -> str | None:
    """Which of ``SAID`` happened, or ``FULL``; None for a mistake in what we asked."""
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
    if code is None:
        return None
    return next((_BY_SQLSTATE[code[:length]] for length in (5, 2) if code[:length] in _BY_SQLSTATE), None)
