"""Suggestions for a search that finds nothing: the same search with a similar word or value that the team has."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.models.listing.facets import count_facets
from modelyard.server.models.listing.index_choice import choose_query_plan, count_up_to
from modelyard.server.models.search_text import START, fold_value
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.model_filter import FacetQuery, ModelFilter
from modelyard.wire.model_folders import suggest_folder
from modelyard.wire.search.grammar import SearchToken, quote_word, split_search, write_condition

# Shorter words are similar to too many others, and longer ones are no words.
SHORTEST_WORD, LONGEST_WORD = 4, 40
# A search of more words or values is no typing error. So many of the newest models that have a part of a word, and of
# their different words, are compared with it: comparing keeps the interpreter from other requests.
MAX_TOKENS, MAX_MODELS, MAX_WORDS = 4, 100, 300
_SIMILARITY = 0.7
_WORD = re.compile(r"[^\W_]+")


def suggest_search(session: Session, team: TeamContext, model_filter: ModelFilter) -> str | None:
    """Return a search that differs in one word or value and finds models, or None; for a search that finds nothing.

    A type that the filter has beside the search is in the returned search, if it is a near miss of a known one.
    """
    if model_filter.model_type is not None and (folder := suggest_folder(model_filter.model_type)) is not None:
        return _suggest_type(session, team, model_filter, folder)
    tokens = split_search(model_filter.q or "")
    if len(tokens) > MAX_TOKENS:
        return None
    for position, token in enumerate(tokens):
        for text in _iterate_similar(session, team, token):
            others = [each.text for each in tokens]
            others[position] = text
            q = " ".join(others)
            if _finds_any(session, team, model_filter, q):
                return q
    return None


def _suggest_type(session: Session, team: TeamContext, model_filter: ModelFilter, folder: str) -> str | None:
    """Return the search for models of another type, if it finds any; None if the search has a type of its own.

    Such a type and the other one would be alternatives, not the same search.
    """
    if any(token.key == "type" and not token.is_negated for token in split_search(model_filter.q or "")):
        return None
    q = f"{write_condition('type', folder)} {model_filter.q or ''}".strip()
    return q if _finds_any(session, team, model_filter.model_copy(update={"model_type": None}), q) else None


def _iterate_similar(session: Session, team: TeamContext, token: SearchToken) -> Iterator[str]:
    """Yield texts that could have been meant by a token with one value; none of an exclusion."""
    if token.is_negated or len(token.values) != 1:
        return
    [value] = token.values
    match token.key:
        case "" if SHORTEST_WORD <= len(value) <= LONGEST_WORD:
            yield from _list_similar_words(session, team, fold_value(value))
        case "type" | "base" | "tag" | "by":
            # The folder is no guess from what the team has: it is what a registration would name for this type.
            folder = suggest_folder(value) if token.key == "type" else None
            if folder is not None:
                yield write_condition("type", folder)
            query = FacetQuery(facet=token.key)
            begun = count_facets(session, team, query.model_copy(update={"prefix": value})).facet_list[0]
            common = count_facets(session, team, query).facet_list[0]
            known = [one.value for one in (*begun.value_list[:1], *common.value_list)]
            folded = {fold_value(one): one for one in reversed(known)}
            names = [fold_value(one.value) for one in begun.value_list[:1]] + _find_similar(fold_value(value), folded)
            yield from (write_condition(token.key, folded[name]) for name in names if folded[name] != folder)


def _list_similar_words(session: Session, team: TeamContext, word: str) -> list[str]:
    """Return words of the team's newest models that are similar to a word and have its first or second half."""
    middle = len(word) // 2
    halves = ModelFilter(q="|".join(quote_word(half) for half in (word[:middle], word[middle:])))
    plan = choose_query_plan(session, team, halves, None)
    newest = [column.desc() for column in plan.order]
    query = select(ModelRow.searched).select_from(plan.source).where(*plan.conditions).order_by(*newest)
    texts = session.scalars(query.limit(MAX_MODELS)).all()
    # The last lines have entries that are not shown.
    visible = (line for text in texts for line in text.split("\n") if not line.startswith(START) and not line.isupper())
    found = (each for line in visible for each in _WORD.findall(line))
    known = dict.fromkeys(each for each in found if abs(len(each) - len(word)) <= 2 and each != word)
    return _find_similar(word, islice(known, MAX_WORDS))


def _find_similar(word: str, known: Iterable[str]) -> list[str]:
    """Return the most similar of the known texts, at most two, in the same order each time."""
    return get_close_matches(word, sorted(known), n=2, cutoff=_SIMILARITY)


def _finds_any(session: Session, team: TeamContext, model_filter: ModelFilter, q: str) -> bool:
    """Return whether a list has any model with another search, unless that is too long or has too many values."""
    try:
        changed = ModelFilter(**model_filter.model_dump(exclude={"q"}), q=q)
    except ValidationError:
        return False
    plan = choose_query_plan(session, team, changed, None)
    return count_up_to(session, plan.count_query, 1) > 0
