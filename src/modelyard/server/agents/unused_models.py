"""The models that machines hold without using them, and what their removal frees."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, distinct, exists, func, select
from sqlalchemy.orm import Session

from modelyard.server.agents.operations import get_agent
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import get_table
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.replicas.uses import is_safe_to_remove, list_counted_agents
from modelyard.server.models.tables import CONTENT_SIZE, ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.uses.lists import MAX_UNUSED_MACHINES, UnusedModel, UnusedModelList

_models, _agents, _states = get_table(ModelRow), get_table(AgentRow), get_table(AgentModelRow)


def list_unused_models(
    session: Session, team: TeamContext, days: int, agent_id: str | None, page: Page
) -> UnusedModelList:
    """List the models that were not used for some days on machines from which they can be removed, the largest first.

    Only those on one machine with an ``agent_id``. The sums read all replicas, so only the first page has them.

    Raises:
        AgentNotFound: see ``get_agent``.
    """
    since = get_database_time(session) - timedelta(days=days)
    only = None if agent_id is None else get_agent(session, team, agent_id).number
    agents = [each for each in list_counted_agents(session, team.team_id, since) if only in (None, each.number)]
    condition = is_safe_to_remove([agent.number for agent in agents if agent.has_counted], since)
    is_unused = exists().where(_states.c.model_id == _models.c.id, condition).correlate(_models)
    rows, meta = list_page(
        session,
        select(ModelRow).where(ModelRow.team_id == team.team_id, ModelRow.deleted_at.is_(None), is_unused),
        page,
        Order((CONTENT_SIZE, ModelRow.id), is_descending=True),
    )
    models: list[ModelRow] = [row[0] for row in rows]
    machines = _load_machines(session, condition, [model.id for model in models])
    model_count, machine_count, total_bytes = _sum_replicas(session, condition) if page.is_first else (None,) * 3
    return UnusedModelList(
        unused_model_list=[
            UnusedModel(
                agent_ids=machines[model.id].agent_ids,
                agent_count=machines[model.id].count,
                model_id=model.id,
                file_size=model.content_size,
                **{name: getattr(model, name) for name in ("display_name", "model_path", "last_used_at")},
            )
            for model in models
        ],
        model_count=model_count,
        machine_count=machine_count,
        total_bytes=total_bytes,
        uncounted_ids=[agent.agent_id for agent in agents if not agent.has_counted],
        page_meta=meta,
    )


def _sum_replicas(session: Session, condition: ColumnElement[bool]) -> tuple[int, int, int]:
    """Return how many models and machines the replicas that meet a condition have, and how many bytes they are."""
    counted = func.count(distinct(_states.c.model_id)), func.count(distinct(_states.c.agent_number))
    total = func.coalesce(func.sum(CONTENT_SIZE), 0)
    source = _states.join(_models, _models.c.id == _states.c.model_id)
    models, machines, size = session.execute(select(*counted, total).select_from(source).where(condition)).one()
    return models, machines, int(size)


@dataclass
class _Machines:
    """How many machines a model can be removed from, and the first of them by name."""

    count: int = 0
    agent_ids: list[str] = field(default_factory=list)


def _load_machines(session: Session, condition: ColumnElement[bool], ids: list[UUID]) -> dict[UUID, _Machines]:
    """Return the machines whose replica of each of these models meets the condition."""
    place = func.row_number().over(partition_by=_states.c.model_id, order_by=_agents.c.agent_id).label("place")
    count = func.count().over(partition_by=_states.c.model_id).label("machine_count")
    source = _states.join(_models, _models.c.id == _states.c.model_id).join(
        _agents, _agents.c.number == _states.c.agent_number
    )
    query = select(_states.c.model_id, _agents.c.agent_id, place, count).select_from(source)
    numbered = query.where(condition, _states.c.model_id.in_(ids)).subquery()
    named = select(numbered).where(numbered.c.place <= MAX_UNUSED_MACHINES)
    machines: dict[UUID, _Machines] = defaultdict(_Machines)
    for row in session.execute(named.order_by(numbered.c.model_id, numbered.c.place)):
        machines[row.model_id].count = row.machine_count
        machines[row.model_id].agent_ids.append(row.agent_id)
    return machines
