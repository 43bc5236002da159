"""A team's revision: slices raise it in their own transaction, and whoever waits for news wakes by it."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from modelyard.server.database.base import Row


class TeamRevisionRow(Row):
    """How often something that machines care about has changed in a team."""

    __tablename__ = "team_revisions"

    team_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=1)


def begin(session: Session, team_id: UUID) -> None:
    """Start counting for a new team."""
    session.add(TeamRevisionRow(team_id=team_id))


def raise_revision(session: Session, team_id: UUID) -> None:
    """Say, with this transaction, that machines of this team must look again."""
    session.execute(
        update(TeamRevisionRow)
        .where(TeamRevisionRow.team_id == team_id)
        .values(revision=TeamRevisionRow.revision + 1)
        .execution_options(synchronize_session=False)
    )


def revision_of(session: Session, team_id: UUID) -> int:
    return session.scalar(select(TeamRevisionRow.revision).where(TeamRevisionRow.team_id == team_id)) or 0
