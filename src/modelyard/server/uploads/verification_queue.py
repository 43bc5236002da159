"""Limits of the verification queue: how many files may wait for verification, of a person, of a team and of all."""

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.orm import Session

from modelyard.server.fairness.accounts import Account
from modelyard.server.uploads.tables import PENDING, BlobRow
from modelyard.wire.problems import VerificationQueueFull

# All teams together may have as many files waiting as this many full queues. Beyond that, an account may still fill a
# tenth of its own queue, so that the full queues of others never block its first files.
TOTAL_QUEUES = 10
RETRY_SECONDS = 10


def check_verification_queue(session: Session, account: Account, limit: int, count: int = 1) -> None:
    """Check that ``count`` more files of this account may wait for verification.

    ``limit`` is the size of a queue: of the person, in all of their teams, and of the team, with all of its people.
    Many files, as a folder may have, are accepted while less than a tenth of the queue is taken, even if they are more
    than the queue takes. Concurrent registrations may all see the last free place, so the limit can be exceeded by the
    number of threads.

    Raises:
        VerificationQueueFull: the account's queue has no room for the files, or that of all teams together has none
            and this account would have more than a tenth of its own.
    """
    of_team, of_person = (
        _count_pending(session, limit, column == holder) if holder is not None else 0
        for column, holder in ((BlobRow.team_id, account.team), (BlobRow.person_id, account.person))
    )
    waiting, total_limit = max(of_team, of_person), limit * TOTAL_QUEUES
    counted = min(count, limit)
    if (waiting + count <= limit or waiting * TOTAL_QUEUES < limit) and (
        (waiting + counted - 1) * TOTAL_QUEUES < limit or _count_pending(session, total_limit) + counted <= total_limit
    ):
        return
    whose = "this team" if of_team >= of_person else "the person who uploads, in all of their teams,"
    raise VerificationQueueFull(
        f"{waiting} files of {whose} are waiting for verification; the queue has no room for {count} more. "
        "Try again later.",
        waiting=waiting,
        retry_after=RETRY_SECONDS,
    )


def _count_pending(session: Session, limit: int, *conditions: ColumnElement[bool]) -> int:
    """Return how many files are waiting, at most ``limit``: the database stops counting there."""
    pending = select(literal(1)).select_from(BlobRow).where(PENDING, *conditions).limit(limit).subquery()
    return session.scalar(select(func.count()).select_from(pending)) or 0
