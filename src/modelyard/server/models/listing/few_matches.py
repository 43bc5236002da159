"""Searches on PostgreSQL that find few models although each of their conditions has many.

The planner takes conditions to be independent. So it expects to fill a page soon with the newest models, and reads all
of them if conditions rarely meet, such as two words that are never in the same name.
"""

import re
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.postgresql_planner import read_by_bitmap, uses_index
from modelyard.server.database.search import SELECTIVE_LIMIT
from modelyard.server.database.session import get_table
from modelyard.server.http.paging import MAX_PAGE_ROWS
from modelyard.server.models.tables import ModelRow

_models = get_table(ModelRow)

# A team with fewer models is read in some tenths of a second.
MIN_MODELS = 100_000
# Whether conditions meet often is tested on the newest models: as long as a page takes about ten thousand of them.
_SAMPLE, _OFTEN = 5_000, 30
# The trigram index finds parts with so many letters or digits in a row.
_INDEXED = re.compile(r"[^\W_]{3}")


def find_few_matches(
    session: Session,
    team_id: UUID,
    in_team: ColumnElement[bool],
    conditions: Sequence[ColumnElement[bool]],
    parts: Sequence[Sequence[str]],
) -> Sequence[UUID] | None:
    """Return the ids of the models that meet all conditions, if they are fewer than ``SELECTIVE_LIMIT``.

    None if there are more, or if the planner's own choice is good enough: there is one condition, the team is small,
    the trigram index has none of the texts ``parts`` or is read anyway, or the newest models often meet the conditions.
    PostgreSQL only.
    """
    has_indexed = any(each and all(map(_INDEXED.search, each)) for each in parts)
    if not has_indexed or len(conditions) < 2 or revisions.get_totals(session, team_id).living_models < MIN_MODELS:
        return None
    found = select(_models.c.id).where(in_team, *conditions)
    newest = found.order_by(_models.c.created_at.desc()).limit(MAX_PAGE_ROWS)
    if uses_index(session, newest, "ix_models_searched") or _do_newest_meet(session, in_team, conditions):
        return None
    ids = read_by_bitmap(session, found.limit(SELECTIVE_LIMIT))
    return None if len(ids) == SELECTIVE_LIMIT else ids


def _do_newest_meet(session: Session, in_team: ColumnElement[bool], conditions: Sequence[ColumnElement[bool]]) -> bool:
    """Return whether ``_OFTEN`` of the newest models meet the conditions."""
    created_at = _models.c.created_at
    # A value of its own, so that the planner knows how few models are newer.
    first = session.scalar(select(created_at).where(in_team).order_by(created_at.desc()).offset(_SAMPLE).limit(1))
    is_newest = true() if first is None else created_at >= first
    among = select(_models.c.id).where(in_team, is_newest, *conditions).limit(_OFTEN)
    return session.scalar(select(func.count()).select_from(among.subquery())) == _OFTEN
