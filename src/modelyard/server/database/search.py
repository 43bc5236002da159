"""Tables and expressions of the search index, which migration 0003 creates and triggers maintain on SQLite."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, FromClause, Join, String, Uuid, column, func, table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

search_teams = table(
    "search_teams", column("team_id", Uuid()), column("number", BigInteger()), column("is_in_order", Boolean())
)
search_places = table(
    "search_places", column("place", BigInteger()), column("model_id", Uuid()), column("searched", String())
)
search_words = table("search_words", column("search_words"), column("rowid", BigInteger()))
# A place is the team's number, then a count of so many bits.
PLACE_BITS = 40

# The trigram tokenizer yields nothing for shorter words, and confuses the characters below.
SHORTEST_INDEXED = 3
# Limits of one index lookup: it compares the positions of every trigram of every word, which a team that repeats one
# letter in its tags could make arbitrarily slow. The rest of the words is tested on the texts that the index finds.
LONGEST_INDEXED, MOST_INDEXED, MOST_ALTERNATIVES = 16, 4, 8
# An access path with fewer models than this is selective: to read and sort all of them costs about as much as to find
# a page of rarer models by reading in the requested order.
SELECTIVE_LIMIT = 2_000
_CONFUSED = frozenset("\ufffd\ufffe\uffff")


def is_row_table(name: str | None, *_where: object) -> bool:
    """Return whether a table or index belongs to ``Row``'s tables; those that only one database has do not.

    The default schema, whose name is None, does. For Alembic, which passes more arguments.
    """
    return name is None or not (name.startswith("search_") or name == "ix_models_searched")


def select_lookups(parts: Mapping[str, tuple[str, ...]]) -> tuple[list[tuple[str, ...]], frozenset[str]]:
    """Return what to look up in the trigram index, and the names of the terms that this applies in full.

    ``parts`` has for each term, by its name, the texts of which a model has one. Looked up are the four terms whose
    texts are longest, each cut to 16 characters; of those with few texts that the index finds exactly. A single text
    that is part of another one is omitted, since it adds nothing.
    """
    exact = {name: texts for name, texts in parts.items() if _is_exact(texts)}
    longest = sorted(exact, key=lambda name: (-min(map(len, exact[name])), exact[name]))
    single = [exact[name][0] for name in longest if len(exact[name]) == 1]
    alone = [
        name
        for name in longest
        if len(exact[name]) > 1 or not any(exact[name][0] in text for text in single if text != exact[name][0])
    ]
    chosen = list(dict.fromkeys(exact[name] for name in alone))[:MOST_INDEXED]
    lookups = [tuple(text[:LONGEST_INDEXED] for text in texts) for texts in chosen]
    found = [texts[0] for texts in lookups if len(texts) == 1]
    applied = {
        name
        for name, texts in exact.items()
        if (texts in chosen and max(map(len, texts)) <= LONGEST_INDEXED)
        or (len(texts) == 1 and any(texts[0] in text for text in found))
    }
    return list(dict.fromkeys(lookups)), frozenset(applied)


def _is_exact(texts: tuple[str, ...]) -> bool:
    """Return whether the trigram index finds all of these texts exactly, and they are few."""
    is_indexed = all(len(text) >= SHORTEST_INDEXED and not _CONFUSED & {*text} for text in texts)
    return is_indexed and 0 < len(texts) <= MOST_ALTERNATIVES


def has_words(lookups: Sequence[tuple[str, ...]]) -> ColumnElement[bool]:
    """Return the condition on ``search_words`` that a text contains one of each of these texts (SQLite's index).

    There is at least one lookup; see ``select_lookups``.
    """
    phrases = " AND ".join(f"({' OR '.join(map(_quote_phrase, texts))})" for texts in lookups)
    return search_words.c.search_words.op("MATCH", is_comparison=True)(phrases)


def _quote_phrase(text: str) -> str:
    """Return a text as a phrase of the index's query language."""
    return '"' + text.replace('"', '""') + '"'


def has_part(text: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Return SQLite's condition that the text contains the word exactly: its LIKE confuses some characters."""
    return func.instr(text, word) > 0


def has_part_by_index(text: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Return PostgreSQL's condition that the text contains the word: there the trigram index supports LIKE."""
    return text.contains(word, autoescape=True)


class LeftToRightJoin(Join):
    """A join that SQLite executes from left to right, instead of estimating which side has fewer rows."""

    inherit_cache = True


@compiles(LeftToRightJoin, "sqlite")
def _compile_for_sqlite(element: LeftToRightJoin, compiler: SQLCompiler, **how: Any) -> str:
    """Return the join as a CROSS JOIN with its condition, whose order SQLite keeps."""
    # The linter for cartesian products does not understand this join.
    how["from_linter"] = None
    left, right = (compiler.process(side, **how) for side in (element.left, element.right))
    condition = element.onclause
    assert condition is not None  # noqa: S101 - `join_left_to_right` always sets one
    return f"{left} CROSS JOIN {right} ON {compiler.process(condition, from_linter=None)}"


def join_left_to_right(left: FromClause, right: FromClause, on: ColumnElement[bool]) -> FromClause:
    """Return an inner join that SQLite executes from left to right; PostgreSQL still chooses the order."""
    return LeftToRightJoin(left, right, on)


def prevent_index_use(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the same value in a form for which SQLite uses no index, neither to find nor to sort. SQLite only.

    Of a condition that consists of several, none is used.
    """
    return UnaryExpression(Grouping(value), operator=custom_op("+"), type_=value.type)


def is_sqlite_session(session: Session) -> bool:
    """Return whether the session's database is SQLite."""
    return session.get_bind().dialect.name == "sqlite"
