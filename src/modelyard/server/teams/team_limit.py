"""The limit on the number of teams that one user owns."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import TooManyTeams


def check_team_limit(session: Session, user_id: UUID, max_teams: int) -> None:
    """Check that a user may own one more team; deleted teams do not count.

    Raises:
        TooManyTeams: the user owns ``max_teams``.
    """
    owned = select(func.count()).select_from(MemberRow).join(TeamRow, TeamRow.id == MemberRow.team_id)
    is_own = MemberRow.user_id == user_id, MemberRow.role == Role.OWNER, TeamRow.deleted_at.is_(None)
    count = session.scalar(owned.where(*is_own)) or 0
    if count >= max_teams:
        raise TooManyTeams(
            f"You own {count} teams of this registry, and may own {max_teams}: delete one, or transfer it to a member.",
            teams=count,
            max_teams=max_teams,
        )
