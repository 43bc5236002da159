"""A team's revision and totals: slices change them in their own transaction, and whoever waits for news wakes by it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from modelyard.server.database.base import Row
from modelyard.server.database.session import table_of


class TeamTotalsRow(Row):
    """What is kept so that nobody has to count it, and how often something that machines care about has changed."""

    __tablename__ = "team_totals"

    team_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=1)
    living_models: Mapped[int] = mapped_column(default=0)
    stored_bytes: Mapped[int] = mapped_column(default=0)


@dataclass(frozen=True)
class Totals:
    """One moment of a team: how many living models, and how many bytes, each once."""

    revision: int
    living_models: int
    stored_bytes: int


_table = table_of(TeamTotalsRow)
_totals = _table.c
_move = (
    update(_table)
    .where(_totals.team_id == bindparam("of_team"))
    .values(
        revision=_totals.revision + bindparam("news"),
        living_models=_totals.living_models + bindparam("models"),
        stored_bytes=_totals.stored_bytes + bindparam("bytes"),
    )
)
_look = select(_totals.revision, _totals.living_models, _totals.stored_bytes).where(
    _totals.team_id == bindparam("of_team")
)


def begin(session: Session, team_id: UUID) -> None:
    """Start counting for a new team."""
    session.add(TeamTotalsRow(team_id=team_id))


def raise_revision(session: Session, team_id: UUID, *, models: int = 0, stored_bytes: int = 0) -> None:
    """Say, with this transaction, that machines of this team must look again, and by how much its totals moved."""
    session.connection().execute(_move, {"of_team": team_id, "news": 1, "models": models, "bytes": stored_bytes})


def move_totals(session: Session, team_id: UUID, *, stored_bytes: int) -> None:
    """Move what the team stores, which is no news to any machine."""
    session.connection().execute(_move, {"of_team": team_id, "news": 0, "models": 0, "bytes": stored_bytes})


def totals_of(session: Session, team_id: UUID) -> Totals:
    found = session.connection().execute(_look, {"of_team": team_id}).one_or_none()
    return Totals(0, 0, 0) if found is None else Totals(*found)
