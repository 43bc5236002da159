"""How far each model is on each machine: of one machine, of one model, and of some models on all machines at once."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import FromClause, Select, and_, or_, select
from sqlalchemy import Row as Found
from sqlalchemy.orm import Session

from modelyard.server.agents.operations import find_agent
from modelyard.server.database.search import nested, on_sqlite
from modelyard.server.database.session import table_of
from modelyard.server.identity.listing import Order, listed
from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.missing import missing_on
from modelyard.server.models.holders.tables import AgentModelRow, AgentRow
from modelyard.server.models.holders.wanting import Machines, is_wanted, needed_sets, wanted_among
from modelyard.server.models.listing.ways import NARROW, count
from modelyard.server.models.operations import find_model
from modelyard.server.models.tables import ModelRow
from modelyard.server.paging import Page
from modelyard.server.teams.acting import Acting
from modelyard.wire.agents import AgentModel, AgentModelList, AgentState, ModelState, ModelStates, ModelStatesList

_models, _agents, _states = table_of(ModelRow), table_of(AgentRow), table_of(AgentModelRow)
_NOTHING_SAID = ("wanted", None, 0)

Said = tuple[str, str | None, int]


@dataclass(frozen=True)
class ModelFilter:
    """Which of a machine's models a list shows."""

    state: ModelState | None = None
    missing: bool = False


def list_models_on(session: Session, acting: Acting, agent_id: str, asked: ModelFilter, page: Page) -> AgentModelList:
    """What a machine should hold and how far it is, newest first; `wanted` until it has said anything else.

    Raises:
        AgentNotFound
    """
    agent = find_agent(session, acting, agent_id)
    state = asked.state
    found = _wanted_on(session, agent) if state in (None, "wanted") else _said_on(session, agent, state)
    if state == "wanted":
        found = found.where(or_(AgentModelRow.state.is_(None), AgentModelRow.state == state))
    if asked.missing:
        found = found.where(missing_on(session, agent.team_id, agent.agent_id).tested(session, NARROW))
    rows, meta = listed(session, found, page, Order((ModelRow.created_at, ModelRow.id), is_descending=True))
    return AgentModelList(
        agent_model_list=[_shown_model(row[0], agent.agent_id, row[1]) for row in rows], page_meta=meta
    )


def _wanted_on(session: Session, agent: AgentRow) -> Select[*tuple[Any, ...]]:
    needed = [one for one in needed_sets(session, agent.team_id) if fits(one, agent.label_set)]
    here = and_(AgentModelRow.model_id == ModelRow.id, AgentModelRow.agent_number == agent.number)
    found = select(ModelRow, AgentModelRow).select_from(ModelRow).outerjoin(AgentModelRow, here)
    return found.where(is_wanted(agent.team_id), ModelRow.label_set.in_(needed))


def _said_on(session: Session, agent: AgentRow, state: ModelState | None) -> Select[*tuple[Any, ...]]:
    """There are states only of what the machine should hold, so its labels need not be asked for."""
    here = and_(_states.c.agent_number == agent.number, _states.c.state == state)
    same = _models.c.id == _states.c.model_id
    joined: FromClause = _models.join(_states, same)
    if on_sqlite(session):
        # Where they are few, they are looked up and sorted; where many, a page of the newest is soon full of them.
        is_narrow = count(session, select(_states.c.model_id).where(here), NARROW) < NARROW
        joined = nested(_states, _models, same) if is_narrow else nested(_models, _states, same)
    return select(ModelRow, AgentModelRow).select_from(joined).where(here, is_wanted(agent.team_id))


def list_agents_of(session: Session, acting: Acting, model_id: UUID, page: Page) -> AgentModelList:
    """The machines that should hold a model, by their names, and how far each is.

    Raises:
        ModelNotFound
    """
    model = find_model(session, acting, model_id)
    is_held = model.model_status == "active" and model.verified_at is not None
    sets = Machines.of(session, acting.team_id).fitting(model.label_set) if is_held else []
    of_model = and_(AgentModelRow.agent_number == AgentRow.number, AgentModelRow.model_id == model.id)
    found = (
        select(AgentRow.agent_id, AgentModelRow)
        .select_from(AgentRow)
        .outerjoin(AgentModelRow, of_model)
        .where(AgentRow.team_id == acting.team_id, AgentRow.label_set.in_(sets))
    )
    rows, meta = listed(session, found, page, Order((AgentRow.agent_id,)))
    return AgentModelList(agent_model_list=[_shown_model(model, row[0], row[1]) for row in rows], page_meta=meta)


def _shown_model(model: ModelRow, agent_id: str, said: AgentModelRow | None) -> AgentModel:
    return AgentModel(
        model_id=model.id,
        agent_id=agent_id,
        display_name=model.display_name,
        model_path=model.model_path,
        file_size=model.file_size,
        state="wanted" if said is None else cast(ModelState, said.state),
        reason=None if said is None else said.reason,
        bytes_done=0 if said is None else said.bytes_done,
        reported_at=None if said is None else said.reported_at,
    )


def states_of(session: Session, acting: Acting, ids: Collection[UUID]) -> ModelStatesList:
    """Each of these models that machines should hold, in the order asked; what is not the team's is left out."""
    labels = wanted_among(session, acting.team_id, ids)
    columns = (_agents.c.number, _agents.c.agent_id, _agents.c.label_set)
    machines = session.execute(select(*columns).where(_agents.c.team_id == acting.team_id).order_by(_agents.c.agent_id))
    rows = machines.all()
    said = _said_of(session, labels)
    return ModelStatesList(
        model_list=[
            _shown_states(model_id, [row for row in rows if fits(labels[model_id], row.label_set)], said)
            for model_id in dict.fromkeys(ids)
            if model_id in labels
        ]
    )


def _said_of(session: Session, ids: Collection[UUID]) -> dict[tuple[UUID, int], Said]:
    columns = (_states.c.model_id, _states.c.agent_number, _states.c.state, _states.c.reason, _states.c.bytes_done)
    rows = session.execute(select(*columns).where(_states.c.model_id.in_(ids)))
    return {(row.model_id, row.agent_number): (row.state, row.reason, row.bytes_done) for row in rows}


def _shown_states(
    model_id: UUID, machines: Collection[Found[*tuple[Any, ...]]], said: dict[tuple[UUID, int], Said]
) -> ModelStates:
    shown = ModelStates(model_id=model_id, ready=[], state_list=[])
    for machine in machines:
        state, reason, bytes_done = said.get((model_id, machine.number), _NOTHING_SAID)
        if state == "ready" and reason is None:
            shown.ready.append(machine.agent_id)
        else:
            values = {"agent_id": machine.agent_id, "state": state, "reason": reason, "bytes_done": bytes_done}
            shown.state_list.append(AgentState.model_validate(values))
    return shown
