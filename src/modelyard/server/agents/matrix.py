"""How far some models are on all machines at once: what a table of models and machines shows."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Row as Found
from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.database.session import table_of
from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.tables import AgentModelRow, AgentRow
from modelyard.server.models.holders.wanting import is_wanted
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.acting import Acting
from modelyard.wire.agents import AgentState, ModelStates, ModelStatesList

_models, _agents, _states = table_of(ModelRow), table_of(AgentRow), table_of(AgentModelRow)
_NOTHING_SAID = ("wanted", None, 0)

Said = tuple[str, str | None, int]


def states_of(session: Session, acting: Acting, ids: Collection[UUID]) -> ModelStatesList:
    """Each of these models that machines should hold, in the order asked; what is not the team's is left out."""
    wanted = select(_models.c.id, _models.c.label_set).where(_models.c.id.in_(ids), is_wanted(acting.team_id))
    labels: dict[UUID, str] = {row.id: row.label_set for row in session.execute(wanted)}
    columns = (_agents.c.number, _agents.c.agent_id, _agents.c.label_set)
    machines = session.execute(select(*columns).where(_agents.c.team_id == acting.team_id).order_by(_agents.c.agent_id))
    rows = machines.all()
    said = _said(session, labels)
    return ModelStatesList(
        model_list=[
            _shown(model_id, [row for row in rows if fits(labels[model_id], row.label_set)], said)
            for model_id in dict.fromkeys(ids)
            if model_id in labels
        ]
    )


def _said(session: Session, ids: Collection[UUID]) -> dict[tuple[UUID, int], Said]:
    columns = (_states.c.model_id, _states.c.agent_number, _states.c.state, _states.c.reason, _states.c.bytes_done)
    rows = session.execute(select(*columns).where(_states.c.model_id.in_(ids)))
    return {(row.model_id, row.agent_number): (row.state, row.reason, row.bytes_done) for row in rows}


def _shown(
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
