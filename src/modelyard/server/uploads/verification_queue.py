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


def check_verification_queue(session: Session, team_id: UUID, limit: int) -> None:
    """Check that one more file of this team may wait for verification; ``limit`` is the size of a team's queue.

    Concurrent registrations may all see the last free place, so the limit can be exceeded by the number of threads.

    Raises:
        VerificationQueueFull: the team's queue is full, or all teams together have reached their limit and this team
            has at least a tenth of its own.
    """
    waiting = _count_pending(session, limit, BlobRow.team_id == team_id)
    if waiting < limit and (
        waiting * TOTAL_QUEUES < limit or _count_pending(session, limit * TOTAL_QUEUES) < limit * TOTAL_QUEUES
    ):
        return
    raise VerificationQueueFull(
        f"{waiting} files of this team are waiting for verification, and the queue is full. Try again later.",
        waiting=waiting,
        retry_after=RETRY_SECONDS,
    )


def _count_pending(session: Session, limit: int, *conditions: ColumnElement[bool]) -> int:
    """Return how many files are waiting, at most ``limit``: the database stops counting there."""
    pending = select(literal(1)).select_from(BlobRow).where(PENDING, *conditions).limit(limit).subquery()
    return session.scalar(select(func.count()).select_from(pending)) or 0
