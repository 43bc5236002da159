"""Counts of the found models by type, base model, tag, replica state and uploader, and of those to attend to."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Label, RowMapping, Select, Uuid, case, cast, func, select, true
from sqlalchemy.orm import Session

from modelyard.server.database.search import join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.database.text_list import build_text_list, collect_json, collect_texts, encode_text_list
from modelyard.server.models.listing.attention import count_attention
from modelyard.server.models.listing.index_choice import QueryPlan, choose_query_plan
from modelyard.server.models.replicas.conditions import (
    build_incomplete_condition,
    build_reported_condition,
    build_state_condition,
)
from modelyard.server.models.replicas.tables import AgentModelRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.agents.values import ModelState
from modelyard.wire.model_filter import (
    DEFAULT_FACETS,
    MAX_COUNTED_MODELS,
    MAX_FACET_VALUES,
    Facet,
    FacetList,
    FacetName,
    FacetQuery,
    FacetValue,
    ModelFilter,
)
from modelyard.wire.search.grammar import split_search

_models, _states = get_table(ModelRow), get_table(AgentModelRow)
_COLUMNS = {"type": _models.c.canonical_type, "base": _models.c.base_model, "by": _models.c.creator_name}
# Parameters that mean the same as a qualifier.
_PARAMETERS: Mapping[FacetName, Sequence[str]] = {
    "type": ["model_type"],
    "is": ["missing_on", "verification", "model_status"],
}
# A model has several tags: what is chosen of them narrows the counts of the others.
_NARROWING: FacetName = "tag"


def list_facet_names(query: FacetQuery) -> Sequence[FacetName]:
    """Return the facets that a query asks for."""
    return [query.facet] if query.facet else DEFAULT_FACETS


def count_facets(
    session: Session, team: TeamContext, query: FacetQuery, names: Sequence[FacetName] | None = None
) -> FacetList:
    """Count the team's models that match a query, up to ``MAX_COUNTED_MODELS`` of the newest.

    With ``names`` only these of its facets.
    """
    names = list_facet_names(query) if names is None else names
    together: dict[str, list[FacetName]] = {}
    filters: dict[str, ModelFilter] = {}
    for name in names:
        if name == "is":
            continue
        model_filter = _remove_own_conditions(query, name)
        key = model_filter.model_dump_json()
        filters[key] = model_filter
        together.setdefault(key, []).append(name)
    facets = {
        facet.name: facet
        for key, group in together.items()
        for facet in _count_group(session, team, filters[key], group, query.prefix)
    }
    if "is" in names:
        counts, is_capped = count_attention(session, team, _remove_own_conditions(query, "is"))
        facets["is"] = _build_facet("is", counts.items(), query.prefix, None, is_capped=is_capped)
    return FacetList(facet_list=[facets[name] for name in names])


def _remove_own_conditions(query: FacetQuery, name: FacetName) -> ModelFilter:
    """Return the filter of the models that a facet counts: without what the query demands of the facet itself."""
    values = query.model_dump(exclude={"facet", "prefix"})
    # Written anew in any case, so that facets with the same condition have the same text.
    others = (
        token.text
        for token in split_search(query.q or "")
        if token.key != name or token.is_negated or name == _NARROWING
    )
    values["q"] = " ".join(others) or None
    values |= dict.fromkeys(_PARAMETERS.get(name, ()))
    return ModelFilter(**values)


def _count_group(
    session: Session, team: TeamContext, model_filter: ModelFilter, names: Sequence[FacetName], prefix: str | None
) -> list[Facet]:
    """Count the facets that are about the same models."""
    plan = choose_query_plan(session, team, model_filter, None)
    columns = [column.label(name) for name, column in _COLUMNS.items() if name in names]
    states = _build_state_count(session, team, model_filter) if "state" in names else None
    rows = session.execute(_build_statement(plan, columns, states, has_tags="tag" in names)).mappings().all()
    found = sum(row["models"] for row in rows)
    model_count, is_capped = min(found, MAX_COUNTED_MODELS), found > MAX_COUNTED_MODELS
    counts: dict[FacetName, Iterable[tuple[Any, int]]] = {
        name: _sum_by((row[name], row["models"]) for row in rows) for name in names if name in _COLUMNS
    }
    if "tag" in names:
        counts["tag"] = Counter(tag for row in rows for tags in row["tags"] or () for tag in tags).items()
    if states is not None:
        counts["state"] = _count_states(session, states, rows)
    return [_build_facet(name, counts[name], prefix, model_count, is_capped=is_capped) for name in names]


@dataclass(frozen=True)
class _StateCount:
    """How models are counted by replica state.

    ``flags`` are conditions on models, by state. The other states are counted from the rows ``reported`` of models that
    meet ``has_others``.
    """

    flags: Mapping[ModelState, ColumnElement[bool]]
    has_others: ColumnElement[bool]
    reported: ColumnElement[bool]


def _build_state_count(session: Session, team: TeamContext, model_filter: ModelFilter) -> _StateCount:
    """Build how to count the states on any machine, or on those that the search names."""
    named = [term for term in model_filter.search_terms if term.key == "machine" and not term.is_negated]
    machines = [value for term in named for value in term.values] or None
    is_queued = build_state_condition(session, team.team_id, ["queued"], machines)
    if machines is not None:
        return _StateCount({"queued": is_queued}, true(), build_reported_condition(session, team.team_id, machines))
    flags: dict[ModelState, ColumnElement[bool]] = {"ready": _models.c.agents_ready > 0, "queued": is_queued}
    # Few models are incomplete, so few rows of states are read.
    return _StateCount(flags, build_incomplete_condition(session, team.team_id), _states.c.state != "ready")


def _build_statement(
    plan: QueryPlan, columns: Sequence[Label[Any]], states: _StateCount | None, *, has_tags: bool
) -> Select[Any]:
    """Build the statement that groups the newest models of a plan, one more than are counted, by some columns.

    With the lists of their tags, as looking up their rows of tags would take longer than all the rest.
    """
    flags = {} if states is None else {f"is_{state}": flag for state, flag in states.flags.items()}
    tested = flags if states is None else flags | {"has_others": states.has_others}
    numbers = [case((flag, 1), else_=0).label(name) for name, flag in tested.items()]
    newest = [column.desc() for column in plan.order]
    query = select(_models.c.id, _models.c.tags, *columns, *numbers).select_from(plan.source).where(*plan.conditions)
    found = query.order_by(*newest).limit(MAX_COUNTED_MODELS + 1).subquery("found")
    counted = [found.c[column.name] for column in columns]
    selected: list[ColumnElement[Any]] = [func.count().label("models"), *counted]
    selected += [func.sum(found.c[name]).label(name) for name in flags]
    if has_tags:
        selected.append(collect_json(found.c.tags).label("tags"))
    if states is not None:
        selected.append(collect_texts(found.c.id).filter(found.c.has_others == 1).label("ids"))
    return select(*selected).group_by(*counted)


def _count_states(session: Session, states: _StateCount, rows: Sequence[RowMapping]) -> list[tuple[Any, int]]:
    """Return how many of the models in these groups have each state."""
    flagged = [(state, row[f"is_{state}"] or 0) for row in rows for state in states.flags]
    ids = [model_id for row in rows for model_id in row["ids"] or ()]
    if not ids:
        return _sum_by(flagged)
    listed = build_text_list("ids")
    joined = join_left_to_right(listed, _states, _states.c.model_id == cast(listed.c.value, Uuid()))
    query = select(_states.c.state, func.count(_states.c.model_id.distinct())).select_from(joined)
    query = query.where(_states.c.state != "queued", states.reported).group_by(_states.c.state)
    reported = [(state, count) for state, count in session.execute(query, {"ids": encode_text_list(ids)})]
    return _sum_by(flagged + reported)


def _sum_by(counts: Iterable[tuple[Any, int]]) -> list[tuple[Any, int]]:
    """Return the sum of the counts of each value; without null and without values that nothing has."""
    sums = Counter[Any]()
    for value, count in counts:
        sums[value] += count
    return [(value, count) for value, count in sums.items() if value is not None and count]


def _build_facet(
    name: FacetName,
    counts: Iterable[tuple[Any, int]],
    prefix: str | None,
    model_count: int | None,
    *,
    is_capped: bool,
) -> Facet:
    """Return a facet with its most frequent values of which a word begins with the prefix."""
    fit = [(value, count) for value, count in counts if count and (prefix is None or _has_prefix(value, prefix))]
    fit.sort(key=lambda pair: (-pair[1], pair[0]))
    values = [FacetValue(value=value, count=count) for value, count in fit[:MAX_FACET_VALUES]]
    has_more = len(fit) > MAX_FACET_VALUES
    return Facet(name=name, value_list=values, model_count=model_count, is_capped=is_capped, has_more=has_more)


def _has_prefix(value: str, prefix: str) -> bool:
    """Return whether the value, or a word in it, begins with the prefix, in any case."""
    folded = prefix.casefold()
    return value.casefold().startswith(folded) or any(word.startswith(folded) for word in value.casefold().split())
