"""Why models are not on the machines that should hold them, found without counting all of their states."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import ScalarSelect, Select, and_, func, literal_column, select
from sqlalchemy.orm import Session

from modelyard.comfyui.quoting import counted, quoted
from modelyard.server.database.search import join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.tables import PROBLEMS, AgentModelRow, AgentRow, AssignmentRow
from modelyard.server.models.tables import LIVING, TRASHED, ModelRow
from modelyard.wire.agents.values import MAX_REASON_LENGTH, ModelState

PROBLEM_STATES: tuple[ModelState, ...] = ("conflict", "blocked", "failed")
_states, _agents, _assignments = get_table(AgentModelRow), get_table(AgentRow), get_table(AssignmentRow)
_models = get_table(ModelRow)


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
    by ``ix_agent_models_problems``. A machine that is to hold a pinned version of a model that the team has removed or
    disabled has that as the reason of ``blocked``, unless it reported another.
    """
    columns = [_select_reason(state).label(state) for state in PROBLEM_STATES]
    rows = session.execute(select(_agents.c.number, *columns).where(_agents.c.number.in_(numbers)))
    result: dict[int, Mapping[ModelState, str]] = {
        number: {state: reason for state, reason in zip(PROBLEM_STATES, reasons, strict=True) if reason is not None}
        for number, *reasons in rows
    }
    for number, reason in _load_lost_pins(session, numbers).items():
        result[number] = {"blocked": reason, **result[number]}
    return result


def _load_lost_pins(session: Session, numbers: Collection[int] | Select[int]) -> dict[int, str]:
    """Return why machines lack a model whose version is pinned on them: it is in the trash or disabled.

    Of several models of a machine, one is named. Read from those of the team that no machine gets, usually few.
    """
    pinned = select(_agents.c.number, _agents.c.team_id).where(_agents.c.number.in_(numbers), _agents.c.pin_set != "")
    teams: dict[int, UUID] = {row.number: row.team_id for row in session.execute(pinned)}
    if not teams:
        return {}
    columns = _assignments.c.agent_number, _models.c.model_path, _models.c.deleted_at
    joined = join_left_to_right(_models, _assignments, _assignments.c.model_id == _models.c.id)
    is_pinned = (
        _assignments.c.pinned_version.is_not(None),
        _assignments.c.agent_number.in_(pinned.with_only_columns(_agents.c.number)),
    )
    result: dict[int, str] = {}
    for is_lost in (TRASHED, and_(LIVING, _models.c.model_status == "disabled")):
        of_teams = _models.c.team_id.in_(set(teams.values()))
        query = select(*columns).select_from(joined).where(of_teams, is_lost, *is_pinned)
        for number, model_path, deleted_at in session.execute(query.order_by(_models.c.model_path)):
            result.setdefault(number, _describe_lost_pin(model_path, is_deleted=deleted_at is not None))
    return result


def _describe_lost_pin(model_path: str, *, is_deleted: bool) -> str:
    """Return why a machine lacks a model that a collection pins, and what to do."""
    what, remedy = ("in the trash", "Restore") if is_deleted else ("disabled", "Enable")
    return (
        f"A collection pins {quoted(model_path.removeprefix('models/'))}, which is {what}. {remedy} the model, or make"
        " a version of the collection without it."
    )


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
