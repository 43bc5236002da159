"""Limits of the verification queue: how many files of a team, and of all teams, may wait for verification."""

from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.orm import Session

from modelyard.server.uploads.tables import PENDING, BlobRow
from modelyard.wire.problems import VerificationQueueFull

# All teams together may have as many files waiting as this many full queues. Beyond that, a team may still fill a tenth
# of its own queue, so that other teams' full queues never block its first files.
TOTAL_QUEUES = 10
RETRY_SECONDS = 10


def check_verification_queue(session: Session, team_id: UUID, limit: int, count: int = 1) -> None:
    """Check that ``count`` more files of this team may wait for verification; ``limit`` is the size of a team's queue.

    Many files, as a folder may have, are accepted while less than a tenth of the queue is taken, even if they are more
    than the queue takes. Concurrent registrations may all see the last free place, so the limit can be exceeded by the
    number of threads.

    Raises:
        VerificationQueueFull: the team's queue has no room for the files, or that of all teams together has none and
            this team would have more than a tenth of its own.
    """
    waiting, total_limit = _count_pending(session, limit, BlobRow.team_id == team_id), limit * TOTAL_QUEUES
    counted = min(count, limit)
    if (waiting + count <= limit or waiting * TOTAL_QUEUES < limit) and (
        (waiting + counted - 1) * TOTAL_QUEUES < limit or _count_pending(session, total_limit) + counted <= total_limit
    ):
        return
    raise VerificationQueueFull(
        f"{waiting} files of this team are waiting for verification; the queue has no room for {count} more. "
        "Try again later.",
        waiting=waiting,
        retry_after=RETRY_SECONDS,
    )


def _count_pending(session: Session, limit: int, *conditions: ColumnElement[bool]) -> int:
    """Return how many files are waiting, at most ``limit``: the database stops counting there."""
    pending = select(literal(1)).select_from(BlobRow).where(PENDING, *conditions).limit(limit).subquery()
    return session.scalar(select(func.count()).select_from(pending)) or 0
