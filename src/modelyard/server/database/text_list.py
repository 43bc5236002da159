"""A list of texts in one parameter, and its join with a table: a statement that is built once takes any number."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    String,
    Table,
    bindparam,
    column,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from modelyard.server.database.search import join_left_to_right


class _json_texts(GenericFunction[Any]):  # noqa: N801 - named as SQL functions are
    """The texts of a JSON array, one a row."""

    type = String()
    inherit_cache = True


@compiles(_json_texts, "sqlite")
def _compile_for_sqlite(element: _json_texts, compiler: SQLCompiler, **how: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **how)})"


@compiles(_json_texts, "postgresql")
def _compile_for_postgresql(element: _json_texts, compiler: SQLCompiler, **how: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **how)} AS JSON))"


class collect_json(GenericFunction[Any]):  # noqa: N801 - named as SQL functions are
    """An aggregate function: the list of the values of a JSON column."""

    type = JSON()
    inherit_cache = True


class collect_texts(GenericFunction[Any]):  # noqa: N801 - named as SQL functions are
    """An aggregate function: the list of the values of a column of texts or ids, None or empty if there are none."""

    type = JSON()
    inherit_cache = True


@compiles(collect_json, "sqlite")
def _compile_json_for_sqlite(element: collect_json, compiler: SQLCompiler, **how: Any) -> str:
    return f"json_group_array(json({compiler.process(element.clauses, **how)}))"


@compiles(collect_texts, "sqlite")
def _compile_texts_for_sqlite(element: collect_texts, compiler: SQLCompiler, **how: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **how)})"


@compiles(collect_json, "postgresql")
@compiles(collect_texts, "postgresql")
def _collect_for_postgresql(element: GenericFunction[Any], compiler: SQLCompiler, **how: Any) -> str:
    return f"json_agg({compiler.process(element.clauses, **how)})"


def build_text_list(parameter: str) -> FromClause:
    """Return a table with the column ``value``, whose rows are the texts in the named parameter."""
    return _json_texts(bindparam(parameter, type_=String())).table_valued(column("value", String()), name=parameter)


def encode_text_list(texts: Iterable[str]) -> str:
    """Return the value of the parameter of ``build_text_list``."""
    return json.dumps(list(texts))


def join_rows(
    texts: FromClause,
    table: Table,
    condition: ColumnElement[bool],
    limit: BindParameter[int],
    order: Sequence[ColumnElement[Any]] = (),
    *,
    is_sqlite: bool,
) -> tuple[FromClause, FromClause]:
    """Join each text with the rows of a table for which the condition is true; return the join and the table in it.

    The rows of each text are looked up by an index of the condition's columns and ``order``; ``texts`` may be any
    table with few rows. SQLite joins from left to right. PostgreSQL could also read all rows and compare each with all
    texts, and estimates of the number of rows would decide: there each lookup is a subquery, with the first ``limit``
    rows.
    """
    if is_sqlite:
        return join_left_to_right(texts, table, condition), table
    found = select(table).where(condition).order_by(*order).limit(limit).lateral("found")
    return texts.join(found, true()), found


def join_first_rows(
    texts: FromClause,
    table: Table,
    condition: ColumnElement[bool],
    limit: BindParameter[int],
    order: Sequence[ColumnElement[Any]],
    *,
    is_sqlite: bool,
) -> tuple[FromClause, FromClause]:
    """Join each text with its first ``limit`` rows, see ``join_rows``; however many it has, no more are read.

    The rows come in any order. SQLite looks up their numbers first, which takes longer than ``join_rows``.
    """
    if not is_sqlite:
        return join_rows(texts, table, condition, limit, order, is_sqlite=False)
    rows = table.alias("found")
    number: Select[Any] = select(literal_column(f"{table.name}.rowid")).select_from(table)
    numbers = number.where(condition).order_by(*order).limit(limit).correlate(texts)
    return join_left_to_right(texts, rows, literal_column("found.rowid").in_(numbers)), rows
