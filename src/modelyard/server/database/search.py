"""What a search needs beyond the tables of ``Row``: made by migration 0003, kept by triggers on SQLite."""

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

# The trigram tokenizer gives nothing for shorter words, and takes these characters for one another.
SHORTEST_INDEXED = 3
_CONFUSED = frozenset("\ufffd\ufffe\uffff")


def is_in_tables(name: str | None, *_where: object) -> bool:
    """Whether a table or index of a database should be among those of ``Row``: not those that only one database has."""
    return name is None or not (name.startswith("search_") or name == "ix_models_searched")


def indexed_words(words: list[str]) -> list[str]:
    """Those that the trigram index finds exactly."""
    return [word for word in words if len(word) >= SHORTEST_INDEXED and not _CONFUSED & {*word}]


def has_words(words: list[str]) -> ColumnElement[bool]:
    """All of these are parts of the text; what they contain means itself."""
    phrases = " AND ".join('"' + word.replace('"', '""') + '"' for word in words)
    return search_words.c.search_words.op("MATCH", is_comparison=True)(phrases)


def has_part(text: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """The word is a part of the text, compared byte by byte: SQLite's LIKE takes some characters for one another."""
    return func.instr(text, word) > 0


def has_part_by_index(text: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """The same on PostgreSQL, where the trigram index knows LIKE."""
    return text.contains(word, autoescape=True)


class Nested(Join):
    """A join that SQLite does from left to right, instead of guessing which side has fewer rows."""

    inherit_cache = True


@compiles(Nested, "sqlite")
def _nested(element: Nested, compiler: SQLCompiler, **how: Any) -> str:
    # The warning about tables that nothing joins does not understand joins of ours.
    how["from_linter"] = None
    left, right = (compiler.process(side, **how) for side in (element.left, element.right))
    condition = element.onclause
    assert condition is not None  # noqa: S101 - `nested` always gives one
    return f"{left} CROSS JOIN {right} ON {compiler.process(condition, from_linter=None)}"


def nested(left: FromClause, right: FromClause, on: ColumnElement[bool]) -> FromClause:
    return Nested(left, right, on)


def unindexed(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The same value, for which SQLite uses no index and no index's order."""
    return UnaryExpression(value, operator=custom_op("+"), type_=value.type)


def on_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
