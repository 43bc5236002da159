"""The conditions of a search, as SQL on ``ModelRow``, and what an index can find of each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, not_, or_
from sqlalchemy.orm import Session

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.search import has_part, has_part_by_index, is_sqlite_session, prevent_index_use
from modelyard.server.models.listing.hash_matches import HashMatches, build_id_condition
from modelyard.server.models.replicas.conditions import (
    build_desired_condition,
    build_state_condition,
    select_models_with_problems,
)
from modelyard.server.models.replicas.missing import ANY, Missing, find_missing
from modelyard.server.models.replicas.uses import build_unused_condition
from modelyard.server.models.search_text import build_first_words, build_word_part, fold_value, list_parts
from modelyard.server.models.tables import CONTENT_SIZE, ModelRow
from modelyard.wire.search.grammar import SearchTerm
from modelyard.wire.search.values import (
    Property,
    parse_age,
    parse_property,
    parse_size_condition,
    parse_state,
    parse_time_condition,
)

# What a person writes instead of their own name.
MYSELF = "me"


@dataclass(frozen=True)
class CompiledTerm:
    """The condition of one term of a search, and how its models can be found by an index, if they can.

    ``parts``: a model has one of them in its searched text, or, for a word that is a hash too, is one of ``ids``.
    Without ``parts``, only models of ``ids`` match. ``missing``: what is missing on machines. ``bounds``: a condition
    on an indexed column that is met by the same models; with ``is_in_order``, that index has them in the order of
    creation, and with ``is_by_creation`` the column is the time of creation. ``reported``: a query for their ids by an
    index of states.
    """

    condition: ColumnElement[bool]
    parts: tuple[str, ...] = ()
    ids: Collection[UUID] | None = None
    missing: Missing | None = None
    bounds: ColumnElement[bool] | None = None
    is_in_order: bool = False
    is_by_creation: bool = False
    reported: Select[Any] | None = None


@dataclass(frozen=True)
class SearchScope:
    """Where a search looks; ``user_id`` is the id of the creator that ``by:me`` means, None if there is none."""

    session: Session
    team_id: UUID
    user_id: UUID | None
    hash_matches: HashMatches


def compile_terms(scope: SearchScope, terms: Sequence[SearchTerm]) -> dict[str, CompiledTerm]:
    """Return the terms of a search by names of their own; ``state:`` is about the machines of ``machine:``."""
    machines = [term for term in terms if term.key == "machine" and not term.is_negated]
    agent_ids = [value for term in machines for value in term.values] or None
    return {f"q{number}": _compile_term(scope, term, agent_ids) for number, term in enumerate(terms)}


def _compile_term(scope: SearchScope, term: SearchTerm, agent_ids: list[str] | None) -> CompiledTerm:
    """Return one term; the condition of a negated one is the opposite, which no index finds."""
    compiled = _compile_values(scope, term, agent_ids)
    if not term.is_negated:
        return compiled
    return CompiledTerm(_hide_from_indexes(scope, not_(compiled.condition)))


def _compile_values(scope: SearchScope, term: SearchTerm, agent_ids: list[str] | None) -> CompiledTerm:
    """Return the term as if it were not negated."""
    match term.key:
        case "":
            return _compile_words(scope, term.values)
        case "hash":
            ids = {
                model_id for value in term.values for model_id in scope.hash_matches.of_words.get(fold_value(value), ())
            }
            return CompiledTerm(_build_id_condition(scope, ids), ids=ids)
        case "size":
            ranges = [parse_size_condition(value) for value in term.values]
            return _compile_ranges(scope, CONTENT_SIZE, ranges)
        case "added":
            times = [parse_time_condition(value) for value in term.values]
            compiled = _compile_ranges(scope, ModelRow.created_at.expression, times)
            return replace(compiled, is_in_order=True, is_by_creation=True)
        case "unused":
            return CompiledTerm(_hide_from_indexes(scope, _build_unused_condition(scope, term.values)))
        case "missing" | "machine" | "state":
            return _compile_replicas(scope, term, agent_ids)
        case "is":
            return _compile_properties(scope, [parse_property(value) for value in term.values])
        case _:
            return _compile_parts(
                scope, tuple(part for value in term.values for part in _list_parts(scope, term, value))
            )


def _list_parts(scope: SearchScope, term: SearchTerm, value: str) -> list[str]:
    """Return the parts of a searched text of which a model with this value of a term has one."""
    match term.key:
        case "base" if value in term.by_first_words:
            return [build_first_words(fold_value(value))]
        case "by":
            return list_parts("by", _resolve_person(scope, value))
        case "type" | "base" | "architecture" | "tag" | "trigger" | "license":
            return list_parts(term.key, value)
    raise AssertionError(term.key)


def _resolve_person(scope: SearchScope, value: str) -> str:
    """Return the caller's id for the value ``me`` of ``by:``, and any other value, which is a name, as it is."""
    return str(scope.user_id) if value.lower() == MYSELF and scope.user_id is not None else value


def _compile_words(scope: SearchScope, words: Sequence[str]) -> CompiledTerm:
    """Return the term for words of which a model's text has one, or of which one is a hash of its content."""
    folded = [fold_value(word) for word in words]
    by_text = _compile_parts(scope, tuple(build_word_part(word) for word in folded))
    ids = {model_id for word in folded for model_id in scope.hash_matches.of_words.get(word, ())}
    if not ids:
        return by_text
    condition = or_(by_text.condition, _build_id_condition(scope, ids))
    return CompiledTerm(_hide_from_indexes(scope, condition), parts=by_text.parts, ids=ids)


def _compile_parts(scope: SearchScope, parts: tuple[str, ...]) -> CompiledTerm:
    """Return the term for models whose searched text has one of these parts."""
    has = has_part if is_sqlite_session(scope.session) else has_part_by_index
    return CompiledTerm(or_(*(has(ModelRow.searched.expression, part) for part in parts)), parts=parts)


def _build_id_condition(scope: SearchScope, ids: Collection[UUID]) -> ColumnElement[bool]:
    """Build the condition that a model has one of these ids."""
    return build_id_condition(ids, may_use_indexes=not is_sqlite_session(scope.session))


def _compile_ranges(scope: SearchScope, column: ColumnElement[Any], ranges: Sequence[tuple[Any, Any]]) -> CompiledTerm:
    """Return the term for values of a column in one of these half-open ranges, whose limits may be None."""
    conditions = [
        and_(True, *([] if first is None else [column >= first]), *([] if end is None else [column < end]))
        for first, end in ranges
    ]
    condition = or_(*conditions)
    return CompiledTerm(_hide_from_indexes(scope, condition), bounds=conditions[0] if len(conditions) == 1 else None)


def _compile_replicas(scope: SearchScope, term: SearchTerm, agent_ids: list[str] | None) -> CompiledTerm:
    """Return the term of ``missing:``, ``machine:`` or ``state:``."""
    session, team_id = scope.session, scope.team_id
    if term.key == "missing":
        return _compile_missing(scope, term.values)
    if term.key == "machine":
        return CompiledTerm(_hide_from_indexes(scope, build_desired_condition(session, team_id, term.values)))
    states = [parse_state(value) for value in term.values]
    condition = _hide_from_indexes(scope, build_state_condition(session, team_id, states, agent_ids))
    return CompiledTerm(condition, reported=select_models_with_problems(team_id, states))


def _build_unused_condition(scope: SearchScope, values: Sequence[str]) -> ColumnElement[bool]:
    """Build the condition that a model was not used for one of these times, as far as all machines that have it know.

    That is the shortest of them: what was not used for longer was not used for less either.
    """
    age = min(parse_age(value) for value in values)
    return build_unused_condition(scope.session, scope.team_id, get_database_time(scope.session) - age)


def _compile_missing(scope: SearchScope, agent_ids: Sequence[str]) -> CompiledTerm:
    """Return the term for models that are missing on one of these machines."""
    ranges = [one for name in agent_ids for one in find_missing(scope.session, scope.team_id, name).ranges]
    found = Missing(ranges, may_overlap=len(agent_ids) > 1)
    condition = found.build_condition(scope.session)
    return CompiledTerm(_hide_from_indexes(scope, condition), missing=found)


def _compile_properties(scope: SearchScope, properties: Sequence[Property]) -> CompiledTerm:
    """Return the term for models that have one of these properties."""
    verification, status = ModelRow.verification.expression, ModelRow.model_status.expression
    conditions: dict[Property, ColumnElement[bool]] = {
        "damaged": verification == "failed",
        "pending": verification == "pending",
        "disabled": status == "disabled",
        "unpreviewed": ModelRow.preview_sha256.expression.is_(None),
    }
    if [*properties] == ["missing"]:
        return _compile_missing(scope, [ANY])
    parts = [_compile_missing(scope, [ANY]).condition if name == "missing" else conditions[name] for name in properties]
    # No index has the models without a picture, which are often most of them.
    is_indexed = len(properties) == 1 and properties[0] != "unpreviewed"
    bounds = parts[0] if is_indexed else None
    return CompiledTerm(_hide_from_indexes(scope, or_(false(), *parts)), bounds=bounds, is_in_order=True)


def _hide_from_indexes(scope: SearchScope, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the same condition, for which SQLite uses no index of models."""
    return prevent_index_use(condition) if is_sqlite_session(scope.session) else condition
