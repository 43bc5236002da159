"""Writes that are loaded and decided before their transaction begins, since others wait for that one."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

from sqlalchemy.orm import Session

from modelyard.server.database.session import Database

# After so many, it is loaded inside of the writing transaction: what changes all the time can be written, too.
LOADS_BEFORE = 3
Decision = TypeVar("Decision")
Result = TypeVar("Result")


class ChangedMeanwhile(Exception):
    """Something that a decision is based on has changed since it was loaded."""


def write_decided(
    database: Database,
    writing: Callable[[], AbstractContextManager[Session]],
    read_basis: Callable[[Session], object],
    decide: Callable[[Session], Decision],
    write: Callable[[Session, Decision], Result],
) -> Result:
    """Decide in a reading transaction, write in one of ``writing``, and return what ``write`` does.

    ``read_basis`` returns what tells whether the decision still holds: it is read before the decision, and compared
    before the writing. If it has changed, or ``write`` raises ``ChangedMeanwhile``, nothing is written, and it is
    decided again.
    """
    for _ in range(LOADS_BEFORE):
        with database.reading() as session:
            basis, decision = read_basis(session), decide(session)
        with suppress(ChangedMeanwhile), writing() as session:
            if read_basis(session) != basis:
                raise ChangedMeanwhile
            return write(session, decision)
    with writing() as session:
        return write(session, decide(session))
