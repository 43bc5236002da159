"""Why models are not on the machines that should hold them, found without counting all of their states."""

from collections.abc import Collection, Mapping

from sqlalchemy import ScalarSelect, Select, func, literal_column, select
from sqlalchemy.orm import Session

from modelyard.comfyui.quoting import counted
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.tables import PROBLEMS, AgentModelRow, AgentRow
from modelyard.wire.agents.values import MAX_REASON_LENGTH, ModelState

PROBLEM_STATES: tuple[ModelState, ...] = ("conflict", "blocked", "failed")
_states, _agents = get_table(AgentModelRow), get_table(AgentRow)


def truncate_reason(reason: str | None, max_length: int = MAX_REASON_LENGTH) -> str | None:
    """Return a reason cut to ``max_length`` characters, the last of which is an ellipsis then."""
    if reason is None or len(reason) <= max_length:
        return reason
    return reason[: max_length - 1] + "…"


def describe_held_removals(count: int) -> str:
    """Return why a machine waits whose removals of ``count`` files exceed its removal limit."""
    return f"The removal of {counted(count, 'file')} waits for approval by an admin."


def load_problem_reasons(
    session: Session, numbers: Collection[int] | Select[int]
) -> dict[int, Mapping[ModelState, str]]:
    """Return for each machine, by its number, the reason of one model in each problematic state; "" without a reason.

    ``numbers`` may be a query for the machines' numbers. States that no model of the machine has are left out. Served
    by ``ix_agent_models_problems``.
    """
    columns = [_select_reason(state).label(state) for state in PROBLEM_STATES]
    rows = session.execute(select(_agents.c.number, *columns).where(_agents.c.number.in_(numbers)))
    return {
        number: {state: reason for state, reason in zip(PROBLEM_STATES, reasons, strict=True) if reason is not None}
        for number, *reasons in rows
    }


def _select_reason(state: ModelState) -> ScalarSelect[str]:
    """Build the query for the reason of one model in this state on the machine of the enclosing query."""
    return (
        select(func.coalesce(_states.c.reason, ""))
        # Both are written out: SQLite takes an index with a condition only for a statement that repeats it.
        .where(_states.c.agent_number == _agents.c.number, PROBLEMS, _states.c.state == literal_column(f"'{state}'"))
        .limit(1)
        .correlate(_agents)
        .scalar_subquery()
    )
