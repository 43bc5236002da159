"""Tables and expressions of the search index, which migration 0003 creates and triggers maintain on SQLite."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, FromClause, Join, String, Uuid, column, func, table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
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
LONGEST_INDEXED, MOST_INDEXED = 16, 4
_CONFUSED = frozenset("\ufffd\ufffe\uffff")


def is_row_table(name: str | None, *_where: object) -> bool:
    """Return whether a table or index belongs to ``Row``'s tables; those that only one database has do not.

    The default schema, whose name is None, does. For Alembic, which passes more arguments.
    """
    return name is None or not (name.startswith("search_") or name == "ix_models_searched")


def select_indexed_words(words: list[str]) -> list[str]:
    """Return the words to look up in the trigram index: the four longest that it finds exactly, cut to 16 characters.

    A word that is part of another one is omitted, since it adds nothing.
    """
    exact = {word for word in words if len(word) >= SHORTEST_INDEXED and not _CONFUSED & {*word}}
    longest = sorted(exact, key=lambda word: (-len(word), word))
    alone = [word for place, word in enumerate(longest) if not any(word in longer for longer in longest[:place])]
    return list(dict.fromkeys(word[:LONGEST_INDEXED] for word in alone[:MOST_INDEXED]))


def has_words(words: list[str]) -> ColumnElement[bool]:
    """Return the condition on ``search_words`` that a text contains all of these words literally (SQLite's index).

    There is at least one word, and each has three characters or more; see ``select_indexed_words``.
    """
    phrases = " AND ".join('"' + word.replace('"', '""') + '"' for word in words)
    return search_words.c.search_words.op("MATCH", is_comparison=True)(phrases)


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
    """Return the same value in a form for which SQLite uses no index, neither to find nor to sort. SQLite only."""
    return UnaryExpression(value, operator=custom_op("+"), type_=value.type)


def is_sqlite_session(session: Session) -> bool:
    """Return whether the session's database is SQLite."""
    return session.get_bind().dialect.name == "sqlite"
