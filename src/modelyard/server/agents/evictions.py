"""What a disk budget would evict from a machine, by what the machine has reported."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row as ResultRow
from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session

from modelyard.server.agents.operations import get_agent
from modelyard.server.database.clock import get_database_time
from modelyard.server.models.replicas.assignments import select_models_of
from modelyard.server.models.replicas.desired import is_desired_on
from modelyard.server.models.replicas.pins import find_pins
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow, ModelUseRow
from modelyard.server.models.tables import CONTENT_SIZE, ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.uses.eviction import MIN_COUNTED, BudgetedModel, choose_evicted
from modelyard.wire.uses.lists import MAX_PREVIEWED, EvictedModel, EvictionPreview


def preview_evictions(
    session: Session, team: TeamContext, agent_id: str, disk_budget_bytes: int | None
) -> EvictionPreview:
    """Return what a machine would do with a budget, or with the one that it has; changes nothing.

    Raises:
        AgentNotFound: see ``get_agent``.
        InvalidRequest: no budget is given, and the machine has none.
    """
    agent = get_agent(session, team, agent_id)
    budget = disk_budget_bytes or agent.disk_budget_bytes
    if budget is None:
        raise problems.InvalidRequest.for_field("disk_budget_bytes", "The machine has no budget: name one")
    rows = {row.id: row for row in session.execute(_select_desired(session, agent))}
    assigned = set(session.scalars(select_models_of(agent.number)))
    sizes = {model_id: row.file_size for model_id, row in rows.items()}
    sizes |= {
        model_id: pin.file_size
        for (_, model_id), pin in find_pins(session, [agent.number], sorted(assigned & rows.keys())).items()
    }
    away = {model_id for model_id, row in rows.items() if row.state == "evicted" and model_id not in assigned}
    is_first = agent.disk_budget_bytes is None
    held = [
        BudgetedModel(
            model_id, sizes[model_id], _get_recent_time(row, is_first=is_first), _may_evict(row, model_id in assigned)
        )
        for model_id, row in rows.items()
        if model_id not in away
    ]
    evicted = [rows[model.id] for model in choose_evicted(held, budget)]
    return EvictionPreview(
        disk_budget_bytes=budget,
        desired_bytes=sum(sizes.values()),
        kept_bytes=sum(size for model_id, size in sizes.items() if model_id in assigned),
        freed_bytes=sum(row.file_size for row in evicted if row.state == "ready"),
        counts_use=agent.use_counted_since is not None,
        use_counted_since=agent.use_counted_since,
        evicts_from=_find_first_eviction(agent, get_database_time(session)),
        away_count=len(away),
        evicted_count=len(evicted),
        evicted_list=[_build_evicted(row) for row in evicted[:MAX_PREVIEWED]],
    )


def _find_first_eviction(agent: AgentRow, now: datetime) -> datetime | None:
    """Return the time until which a machine that counts use evicts nothing that it has; None if that is over."""
    if agent.use_counted_since is None or now - agent.use_counted_since >= MIN_COUNTED:
        return None
    return agent.use_counted_since + MIN_COUNTED


def _get_recent_time(row: ResultRow[*tuple[Any, ...]], *, is_first: bool) -> datetime:
    """Return when a machine used a model last, or when it came there if that is later, as the machine does.

    For its first budget a machine takes the time of the record, since it has noted no other.
    """
    came: datetime = row.reported_at if row.state == "ready" and not is_first else row.updated_at
    return came if row.last_used_at is None else max(came, row.last_used_at)


def _may_evict(row: ResultRow[*tuple[Any, ...]], is_assigned: bool) -> bool:
    """Return whether a machine may evict a model, as far as the registry knows; it never evicts a folder."""
    return not is_assigned and row.verification == "verified" and row.file_count is None


def _build_evicted(row: ResultRow[*tuple[Any, ...]]) -> EvictedModel:
    """Return a model of the preview."""
    return EvictedModel(
        model_id=row.id,
        display_name=row.display_name,
        model_path=row.model_path,
        file_size=row.file_size,
        is_here=row.state == "ready",
        last_used_at=row.last_used_at,
    )


def _select_desired(session: Session, agent: AgentRow) -> Select[*tuple[Any, ...]]:
    """Build the query for the models that a machine should hold, with their state and last use there."""
    of_state = and_(AgentModelRow.model_id == ModelRow.id, AgentModelRow.agent_number == agent.number)
    of_use = and_(ModelUseRow.model_id == ModelRow.id, ModelUseRow.agent_number == agent.number)
    names = (ModelRow.id, ModelRow.display_name, ModelRow.model_path)
    columns = (*names, CONTENT_SIZE.label("file_size"), ModelRow.file_count, ModelRow.updated_at, ModelRow.verification)
    return (
        select(
            *columns, ModelRow.verification, AgentModelRow.state, AgentModelRow.reported_at, ModelUseRow.last_used_at
        )
        .select_from(ModelRow)
        .outerjoin(AgentModelRow, of_state)
        .outerjoin(ModelUseRow, of_use)
        .where(is_desired_on(session, agent))
    )
