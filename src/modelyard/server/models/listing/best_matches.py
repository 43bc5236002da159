"""The order of a search that finds few models: the best matches first.

A word counts most in the name, then in the name of the file, in a trigger word, in a tag, and anywhere else. Models
that match equally well are sorted by time of creation, newest first.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.listing.index_choice import QueryPlan
from modelyard.server.models.search_text import find_word, fold_value
from modelyard.server.models.tables import ModelRow
from modelyard.wire.model_filter import MAX_RANKED_MODELS, ModelFilter

_models = get_table(ModelRow)

# The words of a search: a model has one of each.
Words = Sequence[tuple[str, ...]]


class Match(NamedTuple):
    """A model that a search finds; of two, the greater one is the better match.

    ``rank`` is 0 or less: the sum of the places at which the words were found.
    """

    rank: int
    created_at: datetime
    model_id: UUID


def list_words(model_filter: ModelFilter) -> Words:
    """Return the words that decide the order of a list; none if it has another order, or is the trash."""
    if model_filter.sort is not None or model_filter.deleted:
        return []
    terms = [term for term in model_filter.search_terms if term.key == "" and not term.is_negated]
    return [tuple(map(fold_value, term.values)) for term in terms]


def find_best_matches(session: Session, plan: QueryPlan, words: Words, after: Match | None) -> list[Match] | None:
    """Return the models that a plan finds, or those after one of them, the best match first; None if it finds many.

    That is ``MAX_RANKED_MODELS``; a list that was begun by its best matches may become twice as long meanwhile. Texts
    are loaded only if they are few, and by their ids, so that the conditions are tested once.
    """
    limit = MAX_RANKED_MODELS if after is None else 2 * MAX_RANKED_MODELS
    found = select(_models.c.id).select_from(plan.source).where(*plan.conditions)
    ids = session.scalars(found.limit(limit)).all()
    if len(ids) == limit:
        return None
    texts = select(_models.c.searched, _models.c.created_at, _models.c.id).where(_models.c.id.in_(ids))
    matches = [Match(_rank(words, row.searched), row.created_at, row.id) for row in session.execute(texts)]
    return sorted((match for match in matches if after is None or match < after), reverse=True)


def load_matches(session: Session, matches: Sequence[Match]) -> list[ModelRow]:
    """Load the models of these matches, in their order."""
    ids = [match.model_id for match in matches]
    rows: dict[Any, ModelRow] = {row.id: row for row in session.scalars(select(ModelRow).where(_models.c.id.in_(ids)))}
    return [rows[model_id] for model_id in ids]


def _rank(words: Words, searched: str) -> int:
    """Return the rank of a model with this searched text."""
    return -sum(min(find_word(searched, word) for word in alternatives) for alternatives in words)
