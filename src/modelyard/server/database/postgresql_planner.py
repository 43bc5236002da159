"""Requests to the planner of PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ClauseElement, Executable, Select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

# For this transaction. What remains are bitmaps, whose cheapest is that of the most selective index.
_SET_SCANS = text("SELECT set_config('enable_seqscan', :state, true), set_config('enable_indexscan', :state, true)")


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a query."""

    inherit_cache = False

    def __init__(self, query: Select[Any]) -> None:
        self.query = query


@compiles(_Explain)
def _compile_explain(element: _Explain, compiler: SQLCompiler, **how: Any) -> str:
    """Return the statement that plans the query, and does not run it."""
    return f"EXPLAIN {compiler.process(element.query, **how)}"


def uses_index(session: Session, query: Select[Any], index: str) -> bool:
    """Return whether the planner reads an index for a query; that takes as long as planning."""
    return any(f" {index} " in f"{line} " for line in session.scalars(_Explain(query)))


def read_by_bitmap(session: Session, query: Select[Any]) -> Sequence[Any]:
    """Return the first column of a query that is read by bitmaps of indexes, whatever the planner estimates."""
    session.execute(_SET_SCANS, {"state": "off"})
    values = session.scalars(query).all()
    session.execute(_SET_SCANS, {"state": "on"})
    return values
