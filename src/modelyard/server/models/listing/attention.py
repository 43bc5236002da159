"""Counts of the models that need attention: each value is a filter with an index, so all of them are counted."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from modelyard.server.models.listing.index_choice import choose_query_plan, count_up_to
from modelyard.server.models.listing.pages import get_count_limit
from modelyard.server.models.replicas.missing import ANY
from modelyard.server.teams.context import TeamContext
from modelyard.wire.model_filter import ModelFilter

# The values of ``is:`` that are counted, as parameters: a search by a parameter is counted in its index.
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "missing": {"missing_on": ANY},
    "pending": {"verification": "pending"},
    "damaged": {"verification": "failed"},
    "disabled": {"model_status": "disabled"},
}


def count_attention(session: Session, team: TeamContext, model_filter: ModelFilter) -> tuple[dict[str, int], bool]:
    """Count the models that match a filter and each value of ``is:``; return also whether a count reached its limit.

    ``model_filter`` must have none of the parameters that the values stand for.
    """
    counts, is_capped = {}, False
    for value, parameters in _PARAMETERS.items():
        narrowed = model_filter.model_copy(update=dict(parameters))
        limit = get_count_limit(narrowed)
        counts[value] = count_up_to(session, choose_query_plan(session, team, narrowed, None).count_query, limit)
        is_capped |= counts[value] >= limit
    return counts, is_capped
